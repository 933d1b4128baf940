"use strict";
// The splits side by side, over the chosen studies: sizes, patients, and how alike they are.
(function (fvlm) {
  const FINDINGS = 10;
  const { element } = fvlm;

  function median(values) {
    const there = values.filter((value) => value !== null).sort((a, b) => a - b);
    if (!there.length) return "";
    const middle = (there.length - 1) / 2;
    return String(Number(((there[Math.floor(middle)] + there[Math.ceil(middle)]) / 2).toPrecision(3)));
  }

  const share = (count, of) => (of ? `${((100 * count) / of).toFixed(0)} %` : "");

  fvlm.splits = function (host, filters, table) {
    const column = (name) => table.columns.get(name);
    const [split, findings] = [column("split"), column("findings")];

    function lines(groups) {
      const each = (told) => groups.map(({ rows }) => told(rows));
      const values = (name) => each((rows) => median(rows.map((row) => column(name).values[row])));
      const female = column("sex").names.indexOf("F");
      const sum = (rows) => rows.reduce((total, row) => total + column("samples").values[row], 0);
      return [
        ["studies", each((rows) => fvlm.grouped(rows.length))],
        ["patients", each((rows) => fvlm.grouped(new Set(rows.map((row) => column("patient").values[row])).size))],
        ["samples", each((rows) => fvlm.grouped(sum(rows)))],
        ["median age, years", values("age")],
        ["female", each((rows) => share(rows.filter((row) => column("sex").values[row] === female).length, rows.length))],
        ["median slices", values("slices")],
        ["median slice distance, mm", values("slice distance")],
        ...prevalences(groups),
      ];
    }

    function prevalences(groups) {
      const counts = groups.map(({ rows }) => {
        const own = new Uint32Array(findings.names.length);
        for (const row of rows) for (const code of findings.values[row]) own[code] += 1;
        return own;
      });
      const total = (code) => counts.reduce((sum, own) => sum + own[code], 0);
      const ranked = findings.names.map((_, code) => code).filter(total).sort((a, b) => total(b) - total(a) || a - b);
      return ranked.slice(0, FINDINGS).map((code) => {
        const cells = counts.map((own, place) => `${share(own[code], groups[place].rows.length)} (${own[code]})`);
        return [fvlm.words(findings.names[code]).replace("|", ": "), cells];
      });
    }

    function draw() {
      const rows = filters.passing();
      const names = [...split.names, null];
      const groups = names
        .map((name, code) => ({ name, rows: rows.filter((row) => split.values[row] === (name === null ? -1 : code)) }))
        .filter((group) => group.rows.length);
      if (!groups.length) return host.replaceChildren(element("p", { class: "note" }, "No study is chosen."));
      const head = groups.map((group) => element("th", { class: "n", scope: "col" }, group.name === null ? "no split" : group.name));
      const body = lines(groups).map(([name, cells]) => {
        return element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((text) => element("td", { class: "n" }, text)));
      });
      const made = element("table", { class: "narrow" }, element("thead", {}, element("tr", {}, element("td", {}), ...head)), element("tbody", {}, ...body));
      const note = "Over the chosen studies: sizes, then the most frequent findings, as share of the split's studies.";
      return host.replaceChildren(element("p", { class: "note" }, note), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Splits" }, made));
    }

    filters.onChange(draw);
    draw();
  };
})(window.fvlm);
