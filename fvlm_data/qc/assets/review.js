"use strict";
// Right or wrong: what a reviewer says of a study, its masks, mentions and pairs. It is kept in this
// browser, and saved as the file that `fvlm-data review import` takes, or sent to a server that takes
// decisions (send.js of the server).
(function (fvlm) {
  const { element } = fvlm;
  const FORM = "fvlm-review 1";
  const VERDICTS = ["right", "wrong"];
  const memory = new Map();

  /** What the browser keeps; where it refuses that to pages from disk, as long as the page is open. */
  function kept(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return memory.get(key) ?? null;
    }
  }

  function keep(key, value) {
    memory.set(key, value);
    try {
      localStorage.setItem(key, value);
    } catch {
      // kept in memory
    }
  }

  /** Decisions by subject that were kept and are of what the page shows; the others are dropped. */
  function remembered(key, versions) {
    try {
      const told = JSON.parse(kept(key) || "[]");
      return new Map(told.filter((one) => versions.get(one.subject) === one.version).map((one) => [one.subject, one]));
    } catch {
      return new Map();
    }
  }

  function saved(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    element("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  fvlm.review = function (section, study) {
    const rows = [...section.querySelectorAll("tr[data-subject]")];
    const versions = new Map(rows.map((row) => [row.dataset.subject, row.dataset.version]));
    const key = `fvlm-review:${study}`;
    const decisions = remembered(key, versions);
    const role = section.querySelector("#review-role");
    const count = section.querySelector("output");
    const save = section.querySelector("#review-save");
    const clear = section.querySelector("#review-clear");
    role.value = kept("fvlm-reviewer") || "";

    function show() {
      const wrong = [...decisions.values()].filter((one) => one.verdict === "wrong").length;
      count.textContent = `${decisions.size} judged, ${wrong} of them wrong`;
      save.disabled = !decisions.size || !role.value || !role.validity.valid;
      clear.disabled = !decisions.size;
      keep(key, JSON.stringify([...decisions.values()]));
    }

    function fill(row) {
      const { kind, subject, version } = row.dataset;
      const label = row.querySelector("th").textContent;
      const reason = element("input", { type: "text", maxlength: "60", "aria-label": `reason, ${label}`, input: () => told(null) });
      const buttons = VERDICTS.map((verdict) =>
        element("button", { type: "button", "aria-label": `${verdict}, ${label}`, click: () => told(verdict) }, verdict));

      /** Take a verdict, which a second press takes back, or a reason for the one that there is. */
      function told(verdict) {
        const before = decisions.get(subject);
        if (verdict && before && before.verdict === verdict) decisions.delete(subject);
        else if (verdict || before) {
          const decided_at = `${new Date().toISOString().slice(0, 19)}Z`;
          decisions.set(subject, { kind, subject, verdict: verdict || before.verdict, reason: reason.value, version, decided_at });
        }
        press();
        show();
      }

      function press() {
        const now = decisions.get(subject);
        buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(Boolean(now) && now.verdict === VERDICTS[place])));
      }

      reason.value = decisions.get(subject) ? decisions.get(subject).reason : "";
      row.append(element("td", { class: "verdict" }, ...buttons), element("td", {}, reason));
      press();
      return () => {
        reason.value = "";
        press();
      };
    }

    const emptied = rows.map(fill);
    role.addEventListener("input", () => {
      keep("fvlm-reviewer", role.value);
      show();
    });
    save.addEventListener("click", () => {
      const told = [...decisions.values()].map((one) => ({ ...one, reviewer: role.value }));
      const text = `${JSON.stringify({ form: FORM, decisions: told }, null, 1)}\n`;
      if (!section.dataset.csrf) saved(`review-${study}.json`, text);
      else fvlm.sent(section.dataset.csrf, text).then((answer) => { count.textContent = answer; });
    });
    clear.addEventListener("click", () => {
      decisions.clear();
      emptied.forEach((empty) => empty());
      show();
    });
    section.querySelector(".controls").hidden = false;
    show();
  };
})(window.fvlm);
