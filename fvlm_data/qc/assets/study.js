"use strict";
// The page of a study: its viewer, linked with its report and tables.
(function (fvlm) {
  const viewer = fvlm.viewer(document.getElementById("viewer"), fvlm.dataOf("viewer-data"), (anatomies) => {
    fvlm.lightUp(anatomies, []);
    viewer.light(anatomies);
  });
  fvlm.link(viewer);
  const review = document.getElementById("review");
  fvlm.review(review, review.dataset.study);
})(window.fvlm);
