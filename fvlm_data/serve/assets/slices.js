"use strict";
// Slices of a study's volumes with every voxel, each a picture that the server makes.
(function (fvlm) {
  const { element } = fvlm;
  const host = document.getElementById("slices");
  const shown = fvlm.dataOf("viewer-data").volumes.filter((one) => !one.why);
  const WINDOWS = [["soft tissue", "40,400"], ["lung", "-600,1500"], ["bone", "500,1800"]];
  const PLANES = ["axial", "coronal", "sagittal"];
  const PLACES = { axial: "from the head", coronal: "from the front", sagittal: "from the right" };

  function choice(label, options) {
    const made = element("select", { change: changed }, ...options.map(([name, value]) => element("option", { value }, name)));
    return [made, element("label", {}, label, " ", made)];
  }

  const [volume, volumeLabel] = choice("volume", shown.map((one) => [one.id, one.id]));
  const [plane, planeLabel] = choice("plane", PLANES.map((name) => [name, name]));
  const [window_, windowLabel] = choice("window", WINDOWS);
  const outlines = element("input", { type: "checkbox", checked: true, change: draw });
  const slider = element("input", { type: "range", min: "0", "aria-label": "slice of the stored volume", input: draw });
  const place = element("output", {});
  const picture = element("img", { class: "stored" });
  const note = element("p", { class: "note", role: "status" });
  const known = new Map();
  let waiting = false;
  let again = false;

  async function described(id) {
    if (!known.has(id)) {
      const answer = await fetch(`../planes/${id}.json`);
      if (!answer.ok) throw new Error(await answer.text());
      known.set(id, await answer.json());
    }
    return known.get(id);
  }

  async function changed() {
    note.textContent = known.has(volume.value) ? "" : "The volume is being read …";
    try {
      const { count } = (await described(volume.value)).planes[plane.value];
      slider.max = String(count - 1);
      slider.value = String(Math.floor(count / 2));
      note.textContent = "";
      picture.hidden = false;
      draw();
    } catch (error) {
      picture.hidden = true;
      note.textContent = error.message;
    }
  }

  /** One picture is asked for at a time: of those that a quick hand passes only the last. */
  function draw() {
    if (!known.has(volume.value)) return;
    again = waiting;
    if (waiting) return;
    waiting = true;
    const { count, rows, columns, row_mm, column_mm } = known.get(volume.value).planes[plane.value];
    place.textContent = `${Number(slider.value) + 1} / ${count}`;
    const scale = Math.min(4, 640 / Math.max(columns * column_mm, rows * row_mm));
    picture.width = Math.round(columns * column_mm * scale);
    picture.height = Math.round(rows * row_mm * scale);
    picture.alt = `${plane.value} slice ${Number(slider.value) + 1} of ${count}, counted ${PLACES[plane.value]}`;
    picture.src = `../planes/${volume.value}/${plane.value}/${slider.value}.png?window=${window_.value}&outlines=${outlines.checked ? 1 : 0}`;
  }

  function done() {
    waiting = false;
    if (again) draw();
  }

  picture.addEventListener("load", done);
  picture.addEventListener("error", () => {
    note.textContent = "This slice cannot be read.";
    done();
  });
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    slider.value = String(Number(slider.value) + Math.sign(event.deltaY));
    draw();
  }, { passive: false });

  function open() {
    const tools = element("div", { class: "controls" }, volumeLabel, planeLabel, windowLabel, element("label", {}, outlines, " outlines"), slider, place);
    start.remove();
    host.append(tools, picture, note);
    changed();
  }

  // a volume is decoded once it is wanted, which takes the server a second or two
  const start = element("button", { type: "button", click: open }, "Show slices");
  host.append(shown.length ? start : element("p", { class: "note" }, "No volume of this study may be shown."));
})(window.fvlm);
