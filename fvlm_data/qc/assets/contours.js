"use strict";
// Outlines of labels by marching squares: lines between the middles of neighbouring pixels.
(function (fvlm) {
  // The sides of a cell that a line joins, by which of its corners (top left 1, top right 2, bottom
  // right 4, bottom left 8) have the label; sides: 0 top, 1 right, 2 bottom, 3 left.
  const LINES = [
    [], [[3, 0]], [[0, 1]], [[3, 1]], [[1, 2]], [[3, 0], [1, 2]], [[0, 2]], [[3, 2]],
    [[2, 3]], [[0, 2]], [[0, 1], [2, 3]], [[1, 2]], [[1, 3]], [[0, 1]], [[3, 0]], [],
  ];
  const SIDES = [[1, 0.5], [1.5, 1], [1, 1.5], [0.5, 1]];

  /** Paths by label for those that `shown` holds; `place(x, y)` maps pixels to the canvas. */
  fvlm.contours = function ({ data, width, height }, shown, place) {
    const paths = new Map();
    for (let y = 0; y + 1 < height; y++) {
      for (let x = 0; x + 1 < width; x++) {
        const at = y * width + x;
        const corners = [data[at], data[at + 1], data[at + width + 1], data[at + width]];
        if (corners.every((one) => one === corners[0])) continue;
        for (const label of new Set(corners)) {
          if (!shown.has(label)) continue;
          const kind = corners.reduce((bits, one, n) => bits | ((one === label) << n), 0);
          if (!paths.has(label)) paths.set(label, new Path2D());
          for (const [from, to] of LINES[kind]) {
            paths.get(label).moveTo(...place(x + SIDES[from][0], y + SIDES[from][1]));
            paths.get(label).lineTo(...place(x + SIDES[to][0], y + SIDES[to][1]));
          }
        }
      }
    }
    return paths;
  };
})(window.fvlm);
