"use strict";
// One plane on the screen: picture, outlines, slider, wheel and keys.
(function (fvlm) {
  const { element } = fvlm;
  const LEAP = 10;
  /** Share of the screen that the body fills. */
  const ROOM = 0.92;

  /**
   * A pane. `state` has volume, body (first and last voxel of each axis), index (z, y, x), grey (by code), shown and lit (labels), colours (by
   * label), cross; `act` has move(axis, index), point(label, told) and pick(label).
   */
  fvlm.pane = function (plane, state, act) {
    const { axis, rows, columns, edges } = fvlm.PLANES[plane];
    const picture = document.createElement("canvas");
    const canvas = element("canvas", { tabindex: "0", role: "img", keydown: onKey, pointermove: onPoint, pointerleave: () => act.point(0, null), click: onClick, dblclick: () => act.pick(state.pointed) });
    canvas.addEventListener("wheel", onWheel, { passive: false });
    const slider = element("input", { type: "range", min: "0", step: "1", "aria-label": `${plane} slice`, input: () => act.move(axis, Number(slider.value)) });
    const number = element("output", {});
    const readout = element("div", { class: "readout" });
    const letters = Object.entries(edges).map(([side, letter]) => element("span", { class: `edge ${side}-side`, "aria-hidden": "true" }, letter));
    const screen = element("div", { class: "screen" }, canvas, ...letters, readout);
    const name = plane[0].toUpperCase() + plane.slice(1);
    const made = element("figure", { class: `pane ${plane}`, "data-plane": plane }, screen, element("div", { class: "slide" }, element("span", {}, name), slider, number));
    new ResizeObserver(draw).observe(screen);
    let turned = 0;

    function fit() {
      const { spacing } = state.volume;
      const [across, down] = [state.body[columns], state.body[rows]];
      const scale = window.devicePixelRatio || 1;
      const [width, height] = [screen.clientWidth * scale, screen.clientHeight * scale];
      const extent = ([from, to], mm) => (to - from + 1) * mm;
      const zoom = ROOM * Math.min(width / extent(across, spacing[columns]), height / extent(down, spacing[rows]));
      const [dx, dy] = [spacing[columns] * zoom, spacing[rows] * zoom];
      const start = (size, [from, to], step) => (size - (from + to + 1) * step) / 2;
      return { width, height, left: start(width, across, dx), top: start(height, down, dy), dx, dy };
    }

    function paint(labels) {
      const image = fvlm.slice(state.volume.image, state.volume.shape, plane, state.index[axis]);
      picture.width = image.width;
      picture.height = image.height;
      const pixels = new ImageData(image.width, image.height);
      for (let at = 0; at < image.data.length; at++) {
        const grey = state.grey[image.data[at]];
        const tint = state.lit.has(labels.data[at]) ? state.colours[labels.data[at]] : null;
        for (let band = 0; band < 3; band++) pixels.data[4 * at + band] = tint ? 0.6 * grey + 0.4 * tint[band] : grey;
        pixels.data[4 * at + 3] = 255;
      }
      picture.getContext("2d").putImageData(pixels, 0, 0);
      return image;
    }

    function draw() {
      if (!state.volume || !screen.clientWidth) return;
      const { width, height, left, top, dx, dy } = fit();
      canvas.width = width;
      canvas.height = height;
      const labels = fvlm.slice(state.volume.labels, state.volume.shape, plane, state.index[axis]);
      const image = paint(labels);
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, left, top, image.width * dx, image.height * dy);
      outline(context, labels, (x, y) => [left + x * dx, top + y * dy]);
      if (state.cross) crosshair(context, left, top, dx, dy);
      const size = state.volume.shape[axis];
      slider.max = size - 1;
      slider.value = state.index[axis];
      number.textContent = `${state.index[axis] + 1} / ${size}`;
      canvas.setAttribute("aria-label", `${name} slice ${state.index[axis] + 1} of ${size}; ${edges.left} on the left, ${edges.top} on top; arrow keys scroll`);
    }

    function outline(context, labels, place) {
      const scale = window.devicePixelRatio || 1;
      context.lineCap = "round";
      for (const [label, path] of fvlm.contours(labels, state.shown, place)) {
        context.strokeStyle = `rgb(${state.colours[label].join(" ")})`;
        context.lineWidth = (state.lit.has(label) ? 2.4 : 1.3) * scale;
        context.stroke(path);
      }
    }

    function crosshair(context, left, top, dx, dy) {
      const [x, y] = [left + (state.index[columns] + 0.5) * dx, top + (state.index[rows] + 0.5) * dy];
      context.strokeStyle = "rgb(255 216 102 / 0.4)";
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x, top);
      context.lineTo(x, top + state.volume.shape[rows] * dy);
      context.moveTo(left, y);
      context.lineTo(left + state.volume.shape[columns] * dx, y);
      context.stroke();
    }

    /** Index of the voxel below the pointer, or null outside of the picture. */
    function under(event) {
      if (!state.volume) return null;
      const { left, top, dx, dy } = fit();
      const scale = window.devicePixelRatio || 1;
      const found = state.index.slice();
      found[columns] = Math.floor((event.offsetX * scale - left) / dx);
      found[rows] = Math.floor((event.offsetY * scale - top) / dy);
      return found.every((at, n) => at >= 0 && at < state.volume.shape[n]) ? found : null;
    }

    function onPoint(event) {
      const at = under(event);
      if (!at) return act.point(0, null);
      const { shape, image, labels, hu, anatomies } = state.volume;
      const voxel = (at[0] * shape[1] + at[1]) * shape[2] + at[2];
      const label = labels[voxel];
      readout.textContent = `${label ? fvlm.words(anatomies[label - 1]) + ", " : ""}about ${hu[image[voxel]]} HU`;
      return act.point(label, made);
    }

    function onClick(event) {
      const at = under(event);
      canvas.focus();
      if (!at) return;
      act.move(rows, at[rows]);
      act.move(columns, at[columns]);
    }

    function onWheel(event) {
      event.preventDefault();
      // touch pads send many small turns
      turned += event.deltaMode === 0 ? event.deltaY / 40 : event.deltaY;
      const steps = Math.trunc(turned);
      turned -= steps;
      if (steps) act.move(axis, state.index[axis] + steps);
    }

    function onKey(event) {
      const size = state.volume ? state.volume.shape[axis] : 1;
      const now = state.index[axis];
      const to = { ArrowUp: now - 1, ArrowLeft: now - 1, ArrowDown: now + 1, ArrowRight: now + 1, PageUp: now - LEAP, PageDown: now + LEAP, Home: 0, End: size - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      act.move(axis, to);
    }

    const quiet = () => {
      readout.textContent = "";
    };
    return { made, draw, quiet };
  };
})(window.fvlm);
