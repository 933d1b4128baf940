"use strict";
// The three planes through a volume (z, y, x) as radiologists see them: the patient's right on the
// left of the picture, head or front on top, in the sagittal plane the front on the left.
(function (fvlm) {
  fvlm.PLANES = {
    axial: { axis: 0, rows: 1, columns: 2, edges: { top: "A", bottom: "P", left: "R", right: "L" } },
    coronal: { axis: 1, rows: 0, columns: 2, edges: { top: "S", bottom: "I", left: "R", right: "L" } },
    sagittal: { axis: 2, rows: 0, columns: 1, edges: { top: "S", bottom: "I", left: "A", right: "P" } },
  };

  const strides = (shape) => [shape[1] * shape[2], shape[2], 1];

  /** One slice of an array as {data, width, height}. */
  fvlm.slice = function (array, shape, plane, index) {
    const { axis, rows, columns } = fvlm.PLANES[plane];
    const step = strides(shape);
    const [height, width] = [shape[rows], shape[columns]];
    const data = new Uint8Array(height * width);
    for (let row = 0; row < height; row++) {
      let from = index * step[axis] + row * step[rows];
      for (let column = 0; column < width; column++, from += step[columns]) data[row * width + column] = array[from];
    }
    return { data, width, height };
  };

  /** First and last voxel along each axis of what is no air: the picture is fitted to it. */
  fvlm.bodyOf = function ({ image, shape, hu }) {
    const AIR_HU = -500;
    const solid = hu.map((one) => one > AIR_HU);
    const seen = shape.map((size) => new Uint8Array(size));
    let at = 0;
    for (let z = 0; z < shape[0]; z++) {
      for (let y = 0; y < shape[1]; y++) {
        for (let x = 0; x < shape[2]; x++, at++) {
          if (solid[image[at]]) seen[0][z] = seen[1][y] = seen[2][x] = 1;
        }
      }
    }
    return seen.map((along) => (along.includes(1) ? [along.indexOf(1), along.lastIndexOf(1)] : [0, along.length - 1]));
  };

  /** Where the anatomies of some labels show most: the slice of each axis with most of their voxels. */
  fvlm.middleOf = function ({ labels, shape }, wanted) {
    const counts = shape.map((size) => new Uint32Array(size));
    let at = 0;
    for (let z = 0; z < shape[0]; z++) {
      for (let y = 0; y < shape[1]; y++) {
        for (let x = 0; x < shape[2]; x++, at++) {
          if (labels[at] && wanted.has(labels[at])) {
            counts[0][z] += 1;
            counts[1][y] += 1;
            counts[2][x] += 1;
          }
        }
      }
    }
    const best = counts.map((along) => along.indexOf(along.reduce((a, b) => Math.max(a, b), 0)));
    return counts[0][best[0]] ? best : null;
  };
})(window.fvlm);
