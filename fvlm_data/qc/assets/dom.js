"use strict";
// Making elements. Text is always set as text, so that nothing of the data is read as HTML.
window.fvlm = window.fvlm || {};
(function (fvlm) {
  /** An element. Functions among the attributes become listeners of the event they are named by. */
  fvlm.element = function (name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (typeof value === "function") made.addEventListener(key, value);
      else if (key.startsWith("aria-")) made.setAttribute(key, String(value));
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };

  /** The data that the page carries in the script element of that id. */
  fvlm.dataOf = (id) => JSON.parse(document.getElementById(id).textContent);

  /** A snake_case code as words. */
  fvlm.words = (code) => String(code).replaceAll("_", " ");

  fvlm.grouped = (number) => number.toLocaleString("en-US");
})(window.fvlm);
