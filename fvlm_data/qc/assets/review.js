"use strict";
// Right or wrong: the buttons of what can be judged, and the bar that saves what was said as a file,
// or sends it to a server that takes decisions (send.js of the server).
(function (fvlm) {
  const { element } = fvlm;
  const VERDICTS = ["right", "wrong"];

  /** Buttons and the reason of one thing; they follow what is decided elsewhere. */
  fvlm.verdicts = function (decisions, subject, label) {
    const reason = element("input", { type: "text", maxlength: "60", placeholder: "reason", "aria-label": `reason, ${label}`, input: () => decisions.amend(subject, { reason: reason.value }) });
    const buttons = VERDICTS.map((verdict) =>
      element("button", { type: "button", class: `say ${verdict}`, "aria-label": `${verdict}, ${label}`, click: () => decisions.judge(subject, verdict, reason.value) }, verdict));

    function show() {
      const now = decisions.get(subject);
      buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(Boolean(now) && now.verdict === VERDICTS[place])));
      if (document.activeElement !== reason) reason.value = now ? now.reason : "";
    }

    decisions.listen(show);
    show();
    return { buttons, reason };
  };

  function saved(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    element("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  /**
   * The bar of a section: who judges, how much is judged, and where it goes. `taken` hears of the
   * subjects that a server took.
   */
  fvlm.reviewBar = function (section, decisions, name, entriesOf = (all) => all, taken = () => {}) {
    const role = section.querySelector("#review-role");
    const count = section.querySelector("output");
    const save = section.querySelector("#review-save");
    const clear = section.querySelector("#review-clear");
    const bar = section.querySelector(".bar");
    role.value = fvlm.kept("fvlm-reviewer") || "";

    function show() {
      const all = decisions.all();
      const wrong = all.filter((one) => one.verdict === "wrong").length;
      count.textContent = `${all.length} judged, ${wrong} of them wrong`;
      save.disabled = !all.length || !role.value || !role.validity.valid;
      save.title = all.length && save.disabled ? "Name a role first: letters, digits, _ and -" : "";
      clear.disabled = !all.length;
      bar.classList.toggle("some", Boolean(all.length));
    }

    role.addEventListener("input", () => {
      fvlm.keep("fvlm-reviewer", role.value);
      show();
    });
    save.addEventListener("click", () => {
      const entries = entriesOf(decisions.all()).map((one) => ({ ...one, reviewer: role.value }));
      const text = fvlm.fileOf(entries);
      if (!section.dataset.csrf) return saved(`review-${name}.json`, text);
      return fvlm.sent(section.dataset.post, section.dataset.csrf, text).then(({ ok, told }) => {
        if (ok) taken(new Set(entries.map((one) => one.subject)));
        count.textContent = told;
      });
    });
    clear.addEventListener("click", () => decisions.clear());
    decisions.listen(show);
    bar.hidden = false;
    show();
  };

  /** What a row of a table says of the thing to judge. */
  fvlm.thingOf = ({ dataset }) => ({ kind: dataset.kind, subject: dataset.subject, version: dataset.version });

  /** Rows of things to judge: cells with the buttons and the reason. */
  fvlm.reviewRows = function (rows, decisions) {
    for (const row of rows) {
      const { buttons, reason } = fvlm.verdicts(decisions, row.dataset.subject, row.querySelector("th").textContent);
      row.append(element("td", { class: "verdict" }, ...buttons), element("td", {}, reason));
    }
  };
})(window.fvlm);
