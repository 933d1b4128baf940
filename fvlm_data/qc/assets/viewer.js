"use strict";
// Three panes of one volume with windows, outlines by anatomy, and what lights up.
(function (fvlm) {
  const { element } = fvlm;
  /** Level and width in HU, as radiologists set them. */
  const WINDOWS = { lung: [-600, 1500], "soft tissue": [40, 400], bone: [500, 1800] };

  const bytesOf = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

  /**
   * `data` has volumes, colours (place in the palette by anatomy), within (parent by part) and first
   * (the anatomies at which the planes begin).
   */
  fvlm.viewer = function (host, data, onLight) {
    const palette = getComputedStyle(document.documentElement);
    const state = { volume: null, index: [0, 0, 0], grey: new Uint8Array(256), shown: new Set(), lit: new Set(), colours: [], cross: true, pointed: 0 };
    const window_ = { level: 40, width: 400 };
    let waiting = false;

    const panes = Object.keys(fvlm.PLANES).map((plane) => fvlm.pane(plane, state, { move, point, pick }));
    const planes = element("div", { class: "planes" }, ...panes.map((pane) => pane.made));
    const chips = element("div", { class: "chips", role: "group", "aria-label": "Outlines" });
    const message = element("p", { class: "message", role: "status" }, "Loading the volume");
    const level = numberInput("level", "level");
    const width = numberInput("width", "width");
    const presets = new Map(Object.keys(WINDOWS).map((name) => [name, element("button", { type: "button", click: () => setWindow(...WINDOWS[name]) }, name)]));
    host.replaceChildren(controls(), message, planes, chips, hints());
    planes.hidden = true;

    function numberInput(name, told) {
      const change = () => setWindow(Number(level.value), Math.max(1, Number(width.value)));
      return element("input", { type: "number", step: "10", name, "aria-label": `${told} of the window in HU`, change });
    }

    function controls() {
      const windows = element("fieldset", {}, element("legend", {}, "Window"), ...presets.values());
      const exact = element("fieldset", {}, element("label", {}, "level", level), element("label", {}, "width", width));
      const cross = element("input", { type: "checkbox", checked: true, change: () => redraw((state.cross = cross.checked)) });
      const parts = [windows, exact, element("label", {}, cross, "cross")];
      if (data.volumes.length > 1) parts.unshift(volumePicker());
      return element("div", { class: "controls" }, ...parts);
    }

    function volumePicker() {
      const options = data.volumes.map((volume, place) => element("option", { value: String(place) }, volume.id));
      const select = element("select", { change: () => open(data.volumes[select.selectedIndex]) }, ...options);
      return element("label", {}, "Volume", select);
    }

    function hints() {
      const key = (text) => element("kbd", {}, text);
      return element("p", { class: "hint" }, "Scroll with wheel, slider or ", key("↑"), " ", key("↓"), "; click to move the other planes, double-click an anatomy to go to its middle; windows ", key("1"), " ", key("2"), " ", key("3"), ". Shrunk and coarsened for looking, not for measuring.");
    }

    async function open(volume) {
      message.hidden = false;
      planes.hidden = true;
      if (!volume || !volume.script) return tell(volume ? volume.why : "No volume.");
      message.textContent = "Loading the volume";
      try {
        state.volume = await fvlm.volume(volume.script);
      } catch {
        return tell("The volume of this page is missing or damaged; remove the folder qc/volumes and run fvlm-data qc.");
      }
      const { anatomies, shape } = state.volume;
      const places = anatomies.map((anatomy) => data.colours[anatomy] ?? 0);
      state.colours = [[0, 0, 0], ...places.map((place) => bytesOf(palette.getPropertyValue(`--c${place}`).trim()))];
      state.shown = new Set(anatomies.map((_, place) => place + 1));
      state.lit = new Set();
      state.index = fvlm.middleOf(state.volume, labelsOf(data.first)) || shape.map((size) => size >> 1);
      state.body = fvlm.bodyOf(state.volume);
      chips.replaceChildren(...makeChips(places));
      message.hidden = state.volume.oblique < 1;
      message.textContent = `The grid lies oblique by ${state.volume.oblique}°: planes are those nearest to the patient's axes.`;
      planes.hidden = false;
      return setWindow(window_.level, window_.width);
    }

    function tell(text) {
      message.textContent = text;
      chips.replaceChildren();
      state.volume = null;
    }

    function makeChips(places) {
      const { anatomies } = state.volume;
      const made = anatomies.map((anatomy, place) => {
        const label = place + 1;
        const chip = element("button", { type: "button", "aria-pressed": "true", "data-anatomies": anatomy, click: () => press(chip, label) }, element("span", { class: `swatch c${places[place]}` }), fvlm.words(anatomy));
        return chip;
      });
      const every = (on) => () => made.forEach((chip, place) => chip.getAttribute("aria-pressed") !== String(on) && press(chip, place + 1));
      const plain = (text, on) => element("button", { type: "button", class: "plain", click: every(on) }, text);
      const named = made.slice().sort((one, other) => one.textContent.localeCompare(other.textContent));
      return made.length ? [plain("all", true), plain("none", false), ...named] : [element("p", { class: "note" }, "No label map yet.")];
    }

    function press(chip, label) {
      const on = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", on);
      if (on) state.shown.add(label);
      else state.shown.delete(label);
      redraw();
    }

    function setWindow(to, wide) {
      [window_.level, window_.width] = [to, wide];
      [level.value, width.value] = [to, wide];
      for (const [name, button] of presets) button.setAttribute("aria-pressed", WINDOWS[name][0] === to && WINDOWS[name][1] === wide);
      if (!state.volume) return;
      state.volume.hu.forEach((hu, code) => {
        state.grey[code] = Math.max(0, Math.min(255, (255 * (hu - to + wide / 2)) / wide));
      });
      redraw();
    }

    function move(axis, to) {
      state.index[axis] = Math.max(0, Math.min(state.volume.shape[axis] - 1, to));
      redraw();
    }

    function point(label, pane) {
      panes.forEach((one) => one.made !== pane && one.quiet());
      if (label === state.pointed) return;
      state.pointed = label;
      onLight(label ? [state.volume.anatomies[label - 1]] : []);
    }

    /** Labels that show an anatomy: its own, and those of its parts. */
    function labelsOf(anatomies) {
      const wanted = new Set(anatomies);
      const shows = (anatomy) => wanted.has(anatomy) || (anatomy in data.within && shows(data.within[anatomy]));
      return new Set((state.volume ? state.volume.anatomies : []).flatMap((anatomy, place) => (shows(anatomy) ? [place + 1] : [])));
    }

    function light(anatomies) {
      state.lit = labelsOf(anatomies);
      redraw();
    }

    function goTo(anatomies) {
      const middle = state.volume && fvlm.middleOf(state.volume, labelsOf(anatomies));
      if (middle) redraw((state.index = middle));
      return Boolean(middle);
    }

    function pick(label) {
      if (label) goTo([state.volume.anatomies[label - 1]]);
    }

    function redraw() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        panes.forEach((pane) => pane.draw());
      });
    }

    document.addEventListener("keydown", (event) => {
      if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      const preset = Object.values(WINDOWS)[Number(event.key) - 1];
      if (preset) setWindow(...preset);
    });
    open(data.volumes[0]);
    return { light, goTo };
  };
})(window.fvlm);
