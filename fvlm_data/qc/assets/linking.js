"use strict";
// What is pointed at in one place lights up in all others: report, tables, outlines.
(function (fvlm) {
  const listOf = (element, name) => (element.dataset[name] || "").split(" ").filter(Boolean);

  /** Light up what speaks of anatomies; with findings only the mentions of these. */
  fvlm.lightUp = function (anatomies, findings) {
    const [wanted, named] = [new Set(anatomies), new Set(findings)];
    for (const one of document.querySelectorAll("[data-anatomies]")) {
      const own = listOf(one, "findings");
      const shares = listOf(one, "anatomies").some((anatomy) => wanted.has(anatomy));
      one.classList.toggle("lit", shares && (!own.length || !named.size || own.some((finding) => named.has(finding))));
    }
  };

  /** Follow the pointer and the keyboard over all that names anatomies. */
  fvlm.link = function (viewer) {
    const under = (event) => (event.target instanceof Element ? event.target.closest("[data-anatomies]") : null);
    let last = null;
    function follow(event) {
      const one = under(event);
      if (one === last || (event.target instanceof Element && event.target.closest(".pane"))) return;
      last = one;
      const [anatomies, findings] = one ? [listOf(one, "anatomies"), listOf(one, "findings")] : [[], []];
      fvlm.lightUp(anatomies, findings);
      viewer.light(anatomies);
    }
    document.addEventListener("pointerover", follow);
    document.addEventListener("focusin", follow);
    document.addEventListener("click", (event) => {
      const one = under(event);
      if (one && !one.closest("button, a") && !event.target.closest("a")) viewer.goTo(listOf(one, "anatomies"));
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.matches(".mention")) viewer.goTo(listOf(event.target, "anatomies"));
    });
  };
})(window.fvlm);
