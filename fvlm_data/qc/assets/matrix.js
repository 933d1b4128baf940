"use strict";
// Anatomies by findings: prevalence among the chosen studies, and what is said together.
(function (fvlm) {
  const FINDINGS = 32;
  const TOGETHER = 14;
  const { element } = fvlm;

  const strength = (share) => (share >= 0.5 ? 4 : share >= 0.25 ? 3 : share >= 0.1 ? 2 : 1);
  const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

  /** `pairs` is the column of anatomy|finding sets, `facet` the one whose filter a click sets. */
  fvlm.matrix = function (host, filters, pairs, facet) {
    const named = pairs.names.map((name) => {
      const [anatomy, finding] = name.split("|");
      return { anatomy, finding };
    });

    function counted(rows) {
      const counts = new Uint32Array(named.length);
      for (const row of rows) for (const code of pairs.values[row]) counts[code] += 1;
      return counts;
    }

    function draw() {
      const rows = filters.passing();
      const counts = counted(rows);
      const ranked = [...counts.keys()].filter((code) => counts[code]).sort((a, b) => counts[b] - counts[a] || a - b);
      host.replaceChildren(prevalence(ranked, counts, rows.length), ...together(ranked, counts, rows));
    }

    function cell(code, count, of, told) {
      const share = count / of;
      return element(
        "button",
        {
          type: "button", class: `s${strength(share)}`, title: `${told}: ${count} of ${of} (${percent(share)})`,
          "aria-label": `${told}: ${count} of ${of}`, "aria-pressed": facet.chosen.has(code),
          click: () => facet.choose(code),
        },
        share >= 0.995 ? "100" : (100 * share).toFixed(0),
      );
    }

    function prevalence(ranked, counts, of) {
      const shown = ranked.slice(0, FINDINGS);
      const anatomies = [...new Set(shown.map((code) => named[code].anatomy))].sort();
      // in the order of anatomies, so that what belongs to one stands side by side
      const ordered = anatomies.flatMap((anatomy) => shown.filter((code) => named[code].anatomy === anatomy));
      const findings = [...new Set(ordered.map((code) => named[code].finding))];
      const byName = new Map(shown.map((code) => [pairs.names[code], code]));
      const head = findings.map((one) => element("th", { scope: "col" }, element("span", {}, fvlm.words(one))));
      const body = anatomies.map((anatomy) => {
        const cells = findings.map((finding) => {
          const code = byName.get(`${anatomy}|${finding}`);
          const told = `${fvlm.words(finding)}, ${fvlm.words(anatomy)}`;
          return element("td", {}, code === undefined ? element("span", {}, "") : cell(code, counts[code], of, told));
        });
        return element("tr", {}, element("th", { scope: "row" }, fvlm.words(anatomy)), ...cells);
      });
      const caption = `Percent of ${fvlm.grouped(of)} studies; the ${shown.length} most frequent of ${ranked.length}.`;
      return scrolled(caption, [element("td", {}), ...head], body, "Findings by anatomy");
    }

    function together(ranked, counts, rows) {
      const shown = ranked.slice(0, TOGETHER);
      if (shown.length < 2) return [];
      const place = new Map(shown.map((code, at) => [code, at]));
      const both = shown.map(() => new Uint32Array(shown.length));
      for (const row of rows) {
        const here = pairs.values[row].filter((code) => place.has(code)).map((code) => place.get(code));
        for (const a of here) for (const b of here) both[a][b] += 1;
      }
      const name = (code) => `${fvlm.words(named[code].finding)} (${fvlm.words(named[code].anatomy)})`;
      const head = shown.map((code) => {
        const attributes = { type: "button", "aria-pressed": facet.chosen.has(code), title: name(code) };
        return element("th", { scope: "col" }, element("button", { ...attributes, click: () => facet.choose(code) }, fvlm.words(named[code].finding)));
      });
      const body = shown.map((code, a) => {
        const cells = shown.map((other, b) => {
          const share = both[a][b] / counts[code];
          const told = `of ${counts[code]} with ${name(code)}, ${both[a][b]} have ${name(other)}`;
          const shade = a === b ? "self" : both[a][b] ? `s${strength(share)}` : "";
          return element("td", {}, element("span", { class: shade, title: told }, a === b || !both[a][b] ? "" : (100 * share).toFixed(0)));
        });
        return element("tr", {}, element("th", { scope: "row" }, name(code)), ...cells);
      });
      const caption = "Said together: of the studies with the row's finding, the percentage that also has the column's.";
      return [scrolled(caption, [element("td", {}), ...head], body, "Findings said together")];
    }

    function scrolled(caption, head, body, label) {
      const table = element("table", { class: "matrix" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
      return element("div", {}, element("p", { class: "note" }, caption), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table));
    }

    filters.onChange(draw);
    draw();
  };
})(window.fvlm);
