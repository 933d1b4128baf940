"use strict";
// Decisions of a reviewer, handed to the server that takes them.
(function (fvlm) {
  /** Send a file of decisions to an address: whether they were taken, and that as a sentence. */
  fvlm.sent = async function (place, csrf, text) {
    try {
      const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
      const answer = await fetch(place, { method: "POST", headers, body: text });
      return { ok: answer.ok, told: (await answer.text()).trim() };
    } catch {
      return { ok: false, told: "The server does not answer; nothing was sent." };
    }
  };
})(window.fvlm);
