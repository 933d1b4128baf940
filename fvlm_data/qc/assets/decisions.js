"use strict";
// What a reviewer said, kept in this browser, and written as the file that `fvlm-data review import`
// takes. Whoever shows a decision listens for changes, since a thing may be shown in two places.
(function (fvlm) {
  const FORM = "fvlm-review 1";
  const memory = new Map();

  /** What the browser keeps; where it refuses that to pages from disk, as long as the page is open. */
  fvlm.kept = function (key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return memory.get(key) ?? null;
    }
  };

  fvlm.keep = function (key, value) {
    memory.set(key, value);
    try {
      localStorage.setItem(key, value);
    } catch {
      // kept in memory
    }
  };

  /**
   * Decisions on the things of a page (kind, subject, version); those kept of another version, or of
   * what is no longer there, are dropped.
   */
  fvlm.decisions = function (key, things) {
    const known = new Map(things.map((one) => [one.subject, one]));
    const told = new Map();
    const listeners = [];
    try {
      for (const one of JSON.parse(fvlm.kept(key) || "[]")) {
        if (known.has(one.subject) && known.get(one.subject).version === one.version) told.set(one.subject, one);
      }
    } catch {
      // what is kept is of no use: nothing is judged
    }

    function changed() {
      fvlm.keep(key, JSON.stringify([...told.values()]));
      listeners.forEach((listen) => listen());
    }

    const decided = () => `${new Date().toISOString().slice(0, 19)}Z`;

    return {
      known,
      get: (subject) => told.get(subject),
      all: () => [...told.values()],
      listen: (listen) => listeners.push(listen),

      /** Take a verdict, which the same one again takes back. */
      judge(subject, verdict, reason) {
        const before = told.get(subject);
        if (before && before.verdict === verdict) told.delete(subject);
        else {
          const { kind, version } = known.get(subject);
          told.set(subject, { kind, subject, verdict, reason, version, decided_at: decided() });
        }
        changed();
      },

      /** Change a reason or correction of what is judged; nothing where it is not. */
      amend(subject, changes) {
        const before = told.get(subject);
        if (!before) return;
        const made = { ...before, ...changes, decided_at: decided() };
        if (!made.correction) delete made.correction;
        told.set(subject, made);
        changed();
      },

      clear() {
        told.clear();
        changed();
      },
    };
  };

  /** The text of a file of decisions. */
  fvlm.fileOf = (decisions) => `${JSON.stringify({ form: FORM, decisions }, null, 1)}\n`;
})(window.fvlm);
