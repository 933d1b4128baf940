"use strict";
// A list of the page: its columns by name, and how their values are shown and ordered.
(function (fvlm) {
  fvlm.table = function (listing) {
    const columns = new Map(listing.columns.map((column) => [column.name, column]));

    function text(name, row) {
      const { kind, names, values } = columns.get(name);
      const value = values[row];
      if (kind === "category") return value < 0 ? "" : fvlm.words(names[value]);
      if (kind === "set") return value.map((code) => fvlm.words(names[code]).replace("|", ": ")).join(", ");
      return value === null ? "" : String(value);
    }

    /** Order of two rows by a column; missing values come last in both directions. */
    function comparison(name, descending) {
      const { kind, values } = columns.get(name);
      const sign = descending ? -1 : 1;
      const missing = (value) => value === null || (kind === "category" && value < 0);
      return (a, b) => {
        const [x, y] = [values[a], values[b]];
        if (missing(x) || missing(y)) return missing(x) - missing(y) || a - b;
        if (kind === "set") return sign * (x.length - y.length) || a - b;
        return (x < y ? -sign : x > y ? sign : 0) || a - b;
      };
    }

    return { columns, rows: listing.listed, text, comparison };
  };
})(window.fvlm);
