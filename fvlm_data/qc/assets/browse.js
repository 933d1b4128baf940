"use strict";
// A list with a choice for each column of codes, a search, and the whole text of a chosen row.
(function (fvlm) {
  const { element } = fvlm;

  /** A test for a row by words that its columns must hold; its texts are made at the first search. */
  fvlm.search = function (table, names) {
    const textOf = (row) => names.map((name) => table.text(name, row)).join("\n").toLowerCase();
    let texts = null;
    return (wanted) => {
      const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
      if (!words.length) return null;
      texts = texts || Array.from({ length: table.rows }, (_, row) => textOf(row));
      return (row) => words.every((word) => texts[row].includes(word));
    };
  };

  /** Returns choose(name, code name), by which other parts of the page set a filter. */
  fvlm.browse = function (host, listing, label, widths) {
    const table = fvlm.table(listing);
    const filters = fvlm.crossfilter(table.rows);
    const found = fvlm.search(table, [...table.columns.keys()]);
    const codes = listing.columns.filter((column) => column.kind === "category");
    const pickers = new Map(codes.map((column) => [column.name, picker(column)]));
    const input = element("input", { type: "search", "aria-label": `Search ${label}`, placeholder: "Search", input: () => filters.set("search", found(input.value)) });
    const count = element("span", { class: "count", role: "status" });
    const full = element("p", { class: "full", hidden: true });
    const list = element("div", {});
    const labels = [...pickers].map(([name, select]) => element("label", {}, name, select));
    host.replaceChildren(element("div", { class: "toolbar" }, input, ...labels, count), list, full);
    const columns = listing.columns.map((column) => {
      return { name: column.name, label: column.name, width: widths[column.name] || "minmax(7rem, 1fr)", kind: /^(item|id)$/.test(column.name) ? "code" : "" };
    });
    const tell = (row) => {
      full.textContent = [...table.columns.keys()].map((name) => `${name}: ${table.text(name, row)}`).join("; ");
      full.hidden = false;
    };
    const grid = fvlm.grid(list, table, { label, columns, height: 420, least: `${10 * columns.length}rem`, onChoose: tell });

    function picker(column) {
      const options = column.names.map((name) => element("option", { value: name }, fvlm.words(name)));
      const select = element("select", { change: apply }, element("option", { value: "" }, "all"), ...options);
      function apply() {
        const code = column.names.indexOf(select.value);
        filters.set(column.name, code < 0 ? null : (row) => column.values[row] === code);
      }
      return select;
    }

    function choose(name, value) {
      const select = pickers.get(name);
      select.value = value;
      select.dispatchEvent(new Event("change"));
    }

    function draw() {
      const rows = filters.passing();
      count.textContent = `${fvlm.grouped(rows.length)} of ${fvlm.grouped(table.rows)}`;
      full.hidden = true;
      grid.show(rows);
    }

    filters.onChange(draw);
    draw();
    return { choose };
  };
})(window.fvlm);
