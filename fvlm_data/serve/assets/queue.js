"use strict";
// The queue: each thing right or wrong, by buttons or by keys.
(function (fvlm) {
  const section = document.getElementById("review");
  const items = [...section.querySelectorAll(".queue > li")];
  if (!items.length) return;
  const decisions = fvlm.decisions("fvlm-review:queue", items.map(fvlm.thingOf));
  const parts = new Map();

  for (const item of items) {
    const label = [item.querySelector(".what b"), item.querySelector("mark")].filter(Boolean).map((one) => one.textContent).join(": ");
    const made = fvlm.verdicts(decisions, item.dataset.subject, label);
    item.querySelector(".verdict").prepend(...made.buttons, made.reason);
    parts.set(item, made);
  }

  /** What was sent leaves the list; it is in the store. */
  function sent(subjects) {
    decisions.clear();
    items.filter((item) => subjects.has(item.dataset.subject)).forEach((item) => { item.hidden = true; });
    document.getElementById("more").hidden = items.some((item) => !item.hidden);
  }
  fvlm.reviewBar(section, decisions, "queue", undefined, sent);

  const open = () => items.filter((item) => !item.hidden);
  const current = () => document.activeElement && document.activeElement.closest(".queue > li");

  function step(by) {
    const shown = open();
    const place = shown.indexOf(current());
    const next = shown[place < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, place + by))];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "center" });
  }

  const KEYS = {
    j: () => step(1),
    k: () => step(-1),
    r: (item) => item && decisions.judge(item.dataset.subject, "right", parts.get(item).reason.value),
    w: (item) => item && decisions.judge(item.dataset.subject, "wrong", parts.get(item).reason.value),
    e: (item) => item && parts.get(item).reason.focus(),
    o: (item) => item && item.querySelector("a.open")?.click(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select")) {
      // out of the reason, back to the thing
      if (["Enter", "Escape"].includes(event.key) && current()) current().focus();
      return;
    }
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act(current());
  });
})(window.fvlm);
