"use strict";
// Volumes of a study: each is a script of its own, loaded when it is first shown, since a page
// opened from disk may not read files.
(function (fvlm) {
  const received = new Map();

  /** Called by the script of a volume. */
  fvlm.receive = function (name, packed) {
    received.set(name, packed);
  };

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Differences along x back to codes. */
  function summed(differences, width) {
    for (let start = 0; start < differences.length; start += width) {
      for (let at = start + 1; at < start + width; at++) differences[at] += differences[at - 1];
    }
    return differences;
  }

  function load(name) {
    return new Promise((resolve, reject) => {
      const script = fvlm.element("script", { src: `../volumes/${name}.js` });
      script.addEventListener("load", () => (received.has(name) ? resolve(received.get(name)) : reject(new Error("cut"))));
      script.addEventListener("error", () => reject(new Error("missing")));
      document.head.append(script);
    });
  }

  /**
   * A volume: `image` codes and `labels` (z, y, x) from head to feet, front to back, the patient's
   * right to left; `hu` by code; `anatomies` by label, from 1; `spacing` in mm.
   */
  fvlm.volume = async function (name) {
    const packed = received.get(name) || (await load(name));
    const [image, labels] = await Promise.all([unpacked(packed.image), unpacked(packed.labels)]);
    return { ...packed, image: summed(image, packed.shape[2]), labels };
  };
})(window.fvlm);
