"use strict";
// A list of any length, of which only the rows in view are drawn.
(function (fvlm) {
  const ROW_PIXELS = 32;
  const SPARE_ROWS = 8;

  /**
   * A list in `host`. `columns` are {name, label, width, kind, link}; `link(row)` gives an address
   * or null. A window narrower than `least` scrolls sideways. `onChoose(row)` is called for a row that
   * is clicked. Returns show(rows).
   */
  fvlm.grid = function (host, table, { label, columns, height, least, onChoose }) {
    const { element } = fvlm;
    let rows = [];
    let order = { name: null, descending: false };

    const heads = columns.map((column) => {
      const head = element(
        "div",
        { role: "columnheader", class: column.kind || "" },
        element("button", { type: "button", click: () => sortBy(column.name) }, column.label),
      );
      return head;
    });
    const spacer = element("div", { role: "presentation" });
    const view = element("div", { class: "window", tabindex: "0", role: "rowgroup", scroll: draw }, spacer);
    const head = element("div", { role: "rowgroup" }, element("div", { class: "head", role: "row" }, ...heads));
    const grid = element("div", { class: "grid", role: "table", "aria-label": label }, head, view);
    grid.style.setProperty("--columns", columns.map((column) => column.width).join(" "));
    grid.style.setProperty("--least", least);
    host.replaceChildren(grid);
    new ResizeObserver(draw).observe(view);

    function sortBy(name) {
      order = { name, descending: order.name === name && !order.descending };
      heads.forEach((one, place) => {
        if (columns[place].name !== name) one.removeAttribute("aria-sort");
        else one.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
      });
      show(rows);
    }

    function show(found) {
      rows = found.slice();
      if (order.name) rows.sort(table.comparison(order.name, order.descending));
      else rows.sort((a, b) => a - b);
      grid.setAttribute("aria-rowcount", rows.length + 1);
      view.style.height = `${Math.min(height, Math.max(rows.length, 1.5) * ROW_PIXELS)}px`;
      view.scrollTop = 0;
      draw();
    }

    function draw() {
      const first = Math.max(0, Math.floor(view.scrollTop / ROW_PIXELS) - SPARE_ROWS);
      const last = Math.min(rows.length, first + Math.ceil(view.clientHeight / ROW_PIXELS) + 2 * SPARE_ROWS);
      spacer.style.height = `${rows.length * ROW_PIXELS}px`;
      const drawn = [];
      for (let place = first; place < last; place++) drawn.push(drawRow(rows[place], place));
      if (!rows.length) drawn.push(element("p", { class: "empty" }, "Nothing is left by these filters."));
      view.replaceChildren(spacer, ...drawn);
    }

    function drawRow(row, place) {
      const cells = columns.map((column) => {
        const text = table.text(column.name, row);
        const address = column.link && column.link(row);
        const content = address ? element("a", { href: address }, text) : text;
        return element("div", { role: "cell", class: `cell ${column.kind || ""}`, title: text }, content);
      });
      const made = element("div", { class: "row", role: "row", "aria-rowindex": place + 2 }, ...cells);
      if (onChoose) made.addEventListener("click", () => onChoose(row));
      made.style.top = `${place * ROW_PIXELS}px`;
      return made;
    }

    return { show };
  };
})(window.fvlm);
