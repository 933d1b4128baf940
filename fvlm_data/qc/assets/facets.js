"use strict";
// Distributions whose bars filter: ranked names for categories and sets, bins for numbers.
(function (fvlm) {
  const SHOWN = 7;
  const BINS = 16;
  const { element } = fvlm;

  /** A card with a title and, where a filter holds, a way to lift it. Redrawn at every change. */
  function card(title, clear) {
    const lift = element("button", { type: "button", click: clear, hidden: true }, "clear");
    const body = element("div", {});
    const made = element("article", { class: "facet" }, element("header", {}, element("h3", {}, title), lift), body);
    const mark = (active) => {
      made.classList.toggle("active", active);
      lift.hidden = !active;
    };
    return { made, body, mark };
  }

  function toggled(chosen, value) {
    if (!chosen.delete(value)) chosen.add(value);
  }

  /** Names of a column of categories or sets, the most frequent first, or the last by name. */
  fvlm.namesFacet = function (filters, column, title, byName) {
    const chosen = new Set();
    let open = false;
    const { made, body, mark } = card(title, clear);
    const codesOf = column.kind === "set" ? (row) => column.values[row] : (row) => [column.values[row]];

    function apply() {
      const test = (row) => codesOf(row).some((code) => chosen.has(code));
      filters.set(column.name, chosen.size ? test : null);
    }

    function choose(code) {
      toggled(chosen, code);
      apply();
    }

    function clear() {
      chosen.clear();
      apply();
    }

    function draw() {
      // names of a category stay in sight when none is left of them
      const counts = new Map(column.kind === "set" ? [] : column.names.map((_, code) => [code, 0]));
      const passes = filters.passesBut(column.name);
      for (let row = 0; row < filters.rows; row++) {
        if (passes(row)) for (const code of codesOf(row)) counts.set(code, (counts.get(code) || 0) + 1);
      }
      for (const code of chosen) if (!counts.has(code)) counts.set(code, 0);
      const ranked = [...counts].sort(byName ? (a, b) => b[0] - a[0] : (a, b) => b[1] - a[1] || a[0] - b[0]);
      const most = Math.max(...counts.values(), 0);
      const shown = open ? ranked : ranked.filter(([code], place) => place < SHOWN || chosen.has(code));
      const choices = shown.map(([code, count]) => choice(code, count, most));
      if (ranked.length > SHOWN) choices.push(more(ranked.length - SHOWN));
      body.replaceChildren(...choices);
      mark(chosen.size > 0);
    }

    function choice(code, count, most) {
      const name = code < 0 ? "not known" : fvlm.words(column.names[code]).replace("|", ": ");
      const fill = element("span", { class: "fill" });
      fill.style.width = `${(100 * count) / (most || 1)}%`;
      return element(
        "button",
        { type: "button", class: "choice", "aria-pressed": chosen.has(code), title: name, click: () => choose(code) },
        fill,
        element("span", { class: "label" }, name),
        element("span", { class: "n" }, fvlm.grouped(count)),
      );
    }

    function more(hidden) {
      const turn = () => {
        open = !open;
        draw();
      };
      return element("button", { type: "button", class: "more", click: turn }, open ? "fewer" : `${hidden} more`);
    }

    filters.onChange(draw);
    draw();
    return { made, choose, chosen, clear };
  };

  /** Edges of about BINS equal bins with round numbers; bins of whole numbers are as wide. */
  fvlm.roundEdges = function (least, most, whole) {
    const rough = Math.max((most - least || 1) / BINS, whole ? 1 : 0);
    const power = 10 ** Math.floor(Math.log10(rough));
    const factors = whole && power < 10 ? [1, 2, 5, 10] : [1, 2, 2.5, 5, 10];
    const step = factors.map((factor) => factor * power).find((one) => one >= rough * 0.999);
    const edges = [];
    const first = Math.floor(least / step);
    for (let n = first; n === first || edges[edges.length - 1] <= most; n++) {
      edges.push(Number((n * step).toPrecision(12)));
    }
    return edges;
  };

  const sum = (counts) => counts.reduce((total, count) => total + count, 0) || 1;

  /**
   * Bins of a column of numbers: all studies in grey, those that pass in colour, each as shares of
   * its own, so that few that differ from all are seen.
   */
  fvlm.numbersFacet = function (filters, columns, title) {
    const chosen = new Set();
    let column = columns[0];
    let edges = edgesOf(column);
    const name = `numbers of ${title}`;
    const { made, body, mark } = card(title, clear);

    function clear() {
      chosen.clear();
      apply();
    }

    function edgesOf(of) {
      const there = of.values.filter((value) => value !== null);
      if (!there.length) return null;
      const least = there.reduce((a, b) => Math.min(a, b));
      const most = there.reduce((a, b) => Math.max(a, b));
      return fvlm.roundEdges(least, most, there.every(Number.isInteger));
    }

    /** Whether each bin holds one whole number. */
    const single = () => edges[1] - edges[0] === 1 && Number.isInteger(edges[0]) && column.values.every((value) => value === null || Number.isInteger(value));
    const binOf = (value) => Math.min(edges.length - 2, Math.floor((value - edges[0]) / (edges[1] - edges[0]) + 1e-9));

    function apply() {
      const { values } = column;
      filters.set(name, chosen.size ? (row) => values[row] !== null && chosen.has(binOf(values[row])) : null);
    }

    function draw() {
      mark(chosen.size > 0);
      const parts = columns.length > 1 ? [picker()] : [];
      if (!edges) parts.push(element("p", { class: "note" }, "not known"));
      else parts.push(...histogram());
      body.replaceChildren(...parts);
    }

    /** All in one bin: a row as those of categories have, for a block of colour tells nothing. */
    function only() {
      const passes = filters.passesBut(name);
      const count = column.values.filter((value, row) => value !== null && passes(row)).length;
      const unit = column.unit ? ` ${column.unit}` : "";
      const same = new Set(column.values.filter((value) => value !== null)).size === 1;
      const told = same ? `${column.values.find((value) => value !== null)}${unit}` : `${edges[0]} to ${edges[1]}${unit}`;
      const choose = () => {
        toggled(chosen, 0);
        apply();
      };
      const fill = element("span", { class: "fill" });
      fill.style.width = count ? "100%" : "0";
      return element("button", { type: "button", class: "choice", "aria-pressed": chosen.has(0), title: told, click: choose }, fill, element("span", { class: "label" }, told), element("span", { class: "n" }, fvlm.grouped(count)));
    }

    function histogram() {
      if (edges.length === 2) return [only()];
      const all = new Array(edges.length - 1).fill(0);
      const some = all.slice();
      const passes = filters.passesBut(name);
      column.values.forEach((value, row) => {
        if (value === null) return;
        const bin = binOf(value);
        all[bin] += 1;
        if (passes(row)) some[bin] += 1;
      });
      const [every, left] = [sum(all), sum(some)];
      const most = Math.max(...all.map((count, bin) => Math.max(count / every, some[bin] / left)));
      const bins = all.map((count, bin) => bar(bin, count / every / most, some[bin] / left / most, some[bin]));
      const kind = left < every ? "bins part" : "bins";
      const [first, last] = [edges[0], edges[edges.length - (single() ? 2 : 1)]];
      const unit = column.unit ? ` ${column.unit}` : "";
      return [
        element("div", { class: kind }, ...bins),
        element("div", { class: "scale" }, element("span", {}, String(first)), element("span", {}, `${last}${unit}`)),
      ];
    }

    function bar(bin, all, some, count) {
      const [grey, coloured] = [element("span", { class: "all" }), element("span", { class: "some" })];
      grey.style.height = `${100 * all}%`;
      coloured.style.height = `${100 * some}%`;
      const range = single() ? edges[bin] : `${edges[bin]} to ${edges[bin + 1]}`;
      const told = `${range} ${column.unit}: ${fvlm.grouped(count)}`;
      const choose = () => {
        toggled(chosen, bin);
        apply();
      };
      const attributes = { type: "button", class: "bin", "aria-pressed": chosen.has(bin), "aria-label": told, title: told };
      return element("button", { ...attributes, click: choose }, grey, coloured);
    }

    function picker() {
      const pick = (event) => {
        column = columns[event.target.selectedIndex];
        edges = edgesOf(column);
        chosen.clear();
        apply();
      };
      const options = columns.map((one) => {
        return element("option", { selected: one === column }, fvlm.words(one.name.replace(/ size$/, "")));
      });
      return element("select", { "aria-label": title, change: pick }, ...options);
    }

    filters.onChange(draw);
    draw();
    return { made, clear };
  };
})(window.fvlm);
