"use strict";
// The first page: one set of filters over studies, and the lists of what is set aside or waits.
(function (fvlm) {
  const { element } = fvlm;
  const data = fvlm.dataOf("page-data");
  const host = (id) => document.getElementById(id);

  const NAMES = ["split", "region", "phase", "manufacturer", "kernel", "sex"];
  const NUMBERS = ["age", "slices", "slice distance", "pixel", "greatest HU", "volumes", "reports", "samples"];
  const SEARCHED = ["study", "split", "sex", "manufacturer", "kernel", "region", "phase", "flags", "findings"];
  const LISTED = [
    ["study", "13rem", "code"], ["split", "5.5rem"], ["age", "4rem", "n"], ["sex", "3.5rem"],
    ["manufacturer", "7rem"], ["kernel", "6rem"], ["region", "minmax(9rem, 1fr)"], ["phase", "7.5rem"],
    ["slices", "4.5rem", "n"], ["slice distance", "7rem", "n"], ["samples", "5.5rem", "n"],
    ["findings", "minmax(9rem, 2fr)"],
  ];

  function studies() {
    const table = fvlm.table(data.studies);
    const filters = fvlm.crossfilter(table.rows);
    const column = (name) => table.columns.get(name);
    const sizes = data.studies.columns.filter((one) => one.name.endsWith(" size"));
    const said = fvlm.namesFacet(filters, column("findings"), "findings");
    const facets = [
      fvlm.namesFacet(filters, column("ingested"), "ingested on", true),
      ...NAMES.map((name) => fvlm.namesFacet(filters, column(name), name)),
      ...NUMBERS.map((name) => fvlm.numbersFacet(filters, [column(name)], name)),
      ...(sizes.length ? [fvlm.numbersFacet(filters, sizes, "size of an anatomy")] : []),
      said,
      fvlm.namesFacet(filters, column("flags"), "flags"),
    ];
    host("facets").replaceChildren(...facets.map((facet) => facet.made));
    said.made.classList.add("wide");
    facets[facets.length - 1].made.classList.add("wide");
    list(table, filters, () => facets.forEach((facet) => facet.clear()));
    if (host("matrix")) fvlm.matrix(host("matrix"), filters, column("findings"), said);
    fvlm.splits(host("split-table"), filters, table);
  }

  function list(table, filters, clear) {
    const paged = new Set(data.paged);
    const link = (row) => (paged.has(row) ? `studies/${table.text("study", row)}.html` : null);
    const columns = LISTED.map(([name, width, kind]) => ({ name, label: name, width, kind, link: name === "study" ? link : null }));
    const grid = fvlm.grid(host("study-list"), table, { label: "Studies", columns, height: 480, least: "82rem" });
    const found = fvlm.search(table, SEARCHED);
    const input = element("input", { type: "search", "aria-label": "Search studies", placeholder: "Search studies", input: () => filters.set("search", found(input.value)) });
    const count = element("span", { class: "count", role: "status" });
    const pages = element("span", { class: "note" }, paged.size === 1 ? "1 has a page of its own" : `${fvlm.grouped(paged.size)} have a page of their own`);
    host("study-tools").replaceChildren(input, count, pages);
    const chosen = chosenBar(() => {
      input.value = "";
      filters.set("search", null);
      clear();
    });
    const draw = () => {
      const rows = filters.passing();
      count.textContent = `${fvlm.grouped(rows.length)} of ${fvlm.grouped(table.rows)} ${table.rows === 1 ? "study" : "studies"}`;
      chosen(rows.length < table.rows ? count.textContent : "");
      grid.show(rows);
    };
    filters.onChange(draw);
    draw();
  }

  /** What is chosen, in view wherever on the page one is, with a way back to all. */
  function chosenBar(clear) {
    const told = element("span", {});
    const bar = element("div", { class: "chosen", hidden: true }, told, element("button", { type: "button", click: clear }, "show all"));
    document.body.append(bar);
    return (text) => {
      told.textContent = text;
      bar.hidden = !text;
    };
  }

  function reasons(browser) {
    for (const link of document.querySelectorAll("a[data-reason]")) {
      link.addEventListener("click", () => {
        browser.choose("kind", "");
        browser.choose("stage", link.dataset.stage);
        browser.choose("reason", link.dataset.reason);
      });
    }
  }

  if (data.studies.listed) studies();
  const widths = { kind: "8rem", stage: "8rem", reason: "13rem", item: "14rem", detail: "minmax(16rem, 3fr)" };
  if (host("set-aside-list")) reasons(fvlm.browse(host("set-aside-list"), data.set_aside, "set aside", widths));
  if (host("waiting-list")) fvlm.browse(host("waiting-list"), data.waiting, "waiting", {});
})(window.fvlm);
