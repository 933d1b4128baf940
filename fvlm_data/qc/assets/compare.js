"use strict";
// Two pages of studies side by side; the address names them: compare.html#ONE,OTHER.
(function (fvlm) {
  const { element } = fvlm;
  const named = decodeURIComponent(location.hash.slice(1)).split(",");
  // ids and nothing that could lead elsewhere
  const studies = named.filter((id) => /^[\w-]+$/.test(id)).slice(0, 2);
  const frames = studies.map((id) => element("iframe", { src: `studies/${id}.html`, title: `Study ${id}` }));
  const hint = element("p", { class: "note" }, "Open this page from the partners of a study, or with two ids: compare.html#ONE,OTHER");
  document.getElementById("main").replaceChildren(...(frames.length === 2 ? frames : [hint]));
  window.addEventListener("hashchange", () => location.reload());
})(window.fvlm);
