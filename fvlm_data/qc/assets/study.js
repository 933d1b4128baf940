"use strict";
// The page of a study: its viewer, linked with its report and tables, and what can be judged.
(function (fvlm) {
  const viewer = fvlm.viewer(document.getElementById("viewer"), fvlm.dataOf("viewer-data"), (anatomies) => {
    fvlm.lightUp(anatomies, []);
    viewer.light(anatomies);
  });
  fvlm.link(viewer);
  const review = document.getElementById("review");
  const texts = fvlm.dataOf("texts-data");
  const rows = [...review.querySelectorAll("tr[data-subject]")];
  const decisions = fvlm.decisions(`fvlm-review:${review.dataset.study}`, [...rows.map(fvlm.thingOf), ...texts]);
  fvlm.reviewRows(rows, decisions);
  fvlm.reviewBar(review, decisions, review.dataset.study, () => fvlm.entriesOf(decisions, texts));
  const focusOn = fvlm.judgeReports(document.getElementById("report"), texts, decisions);

  /** The address of a thing to judge, #judge=SUBJECT, as the queue links to it. */
  function go() {
    const subject = decodeURIComponent(location.hash).match(/^#judge=([\w:]+)$/)?.[1];
    if (!subject || focusOn(subject)) return;
    const button = rows.find((row) => row.dataset.subject === subject)?.querySelector("button");
    if (button) button.focus();
  }
  window.addEventListener("hashchange", go);
  go();
})(window.fvlm);
