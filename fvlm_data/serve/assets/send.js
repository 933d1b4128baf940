"use strict";
// Decisions of a reviewer, handed to the server that takes them.
(function (fvlm) {
  /** Send a file of decisions to an address; what became of them, as a sentence. */
  fvlm.sent = async function (place, csrf, text) {
    try {
      const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
      const answer = await fetch(place, { method: "POST", headers, body: text });
      return await answer.text();
    } catch {
      return "The server does not answer; nothing was sent.";
    }
  };
})(window.fvlm);
