"use strict";
// Filters that hold together: a row passes where none of them refuses it. Each chart counts the
// rows that all filters but its own let pass.
(function (fvlm) {
  fvlm.crossfilter = function (rows) {
    const refused = new Map();
    const times = new Uint16Array(rows);
    const listeners = [];

    function drop(name) {
      const old = refused.get(name);
      if (old) for (let row = 0; row < rows; row++) times[row] -= old[row];
      refused.delete(name);
    }

    /** Set a filter (row -> whether it passes), or remove it with null. */
    function set(name, test) {
      drop(name);
      if (test) {
        const own = new Uint8Array(rows);
        for (let row = 0; row < rows; row++) {
          own[row] = test(row) ? 0 : 1;
          times[row] += own[row];
        }
        refused.set(name, own);
      }
      for (const listener of listeners) listener();
    }

    const passes = (row) => times[row] === 0;

    function passesBut(name) {
      const own = refused.get(name);
      return own ? (row) => times[row] === own[row] : passes;
    }

    function passing() {
      const found = [];
      for (let row = 0; row < rows; row++) if (times[row] === 0) found.push(row);
      return found;
    }

    return { set, passes, passesBut, passing, rows, onChange: (listener) => listeners.push(listener) };
  };
})(window.fvlm);
