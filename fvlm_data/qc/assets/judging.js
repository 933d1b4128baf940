"use strict";
// The report of a study is judged where it stands: behind each sentence a button that opens what is
// read of it, each part right or wrong, with a reason and what is right instead.
(function (fvlm) {
  const { element, words } = fvlm;
  const SIGNS = { right: "✓", wrong: "✗", open: "" };

  const optionsOf = (some) => some.map((one) => element("option", { value: one }, words(one)));

  /** Names of findings: the one that was read, others of its anatomy, then all others by theirs. */
  function findingChoice(label, { finding, anatomy }, findings, change) {
    const group = (home) => element("optgroup", { label: home ? words(home) : "anywhere" }, ...optionsOf(findings[home].filter((one) => one !== finding)));
    const homes = [...new Set([anatomy, ...Object.keys(findings).sort()])].filter((home) => home in findings);
    const select = element("select", { change: () => change(select.value), "aria-label": label }, ...optionsOf([finding]), ...homes.map(group));
    return select;
  }

  /** Options of a choice; the one that was read comes first and changes nothing. */
  function choice(label, read, options, change) {
    const told = (value) => (value === null ? "no side" : words(value));
    const made = [read, ...options.filter((one) => one !== read)].map((value) => element("option", { value: value ?? "" }, told(value)));
    const select = element("select", { change: () => change(select.value || null), "aria-label": label }, ...made);
    return select;
  }

  /**
   * Decisions as they are sent. The correction of a sentence tells all that it says, so those of its
   * findings go into it.
   */
  fvlm.entriesOf = function (decisions, texts) {
    const finding = (read, sentence) => {
      const own = texts.find((one) => one.kind === "finding" && one.sentence === sentence && one.subject.endsWith(`:${read.start}:${read.end}:${read.finding}:${read.anatomy}:${read.status}`));
      const said = own && decisions.get(own.subject);
      if (!said || said.verdict !== "wrong") return [read];
      return said.correction ? [{ ...read, ...said.correction }] : [];
    };
    return decisions.all().map((one) => {
      if (one.kind !== "sentence" || one.verdict !== "wrong" || !one.correction) return one;
      const { read } = texts.find((text) => text.subject === one.subject);
      return { ...one, correction: { ...one.correction, findings: read.findings.flatMap((each) => finding(each, one.subject)) } };
    });
  };

  fvlm.judgeReports = function (host, texts, decisions) {
    const { names } = fvlm;
    const homes = new Map(Object.entries(names.findings).flatMap(([home, some]) => some.map((one) => [one, home])));
    const bySentence = Map.groupBy ? Map.groupBy(texts, (one) => one.sentence) : grouped(texts);

    function grouped(texts) {
      const made = new Map();
      for (const one of texts) made.set(one.sentence, [...(made.get(one.sentence) || []), one]);
      return made;
    }

    /** Selects of what is right instead; they show with the verdict `wrong`. */
    function correctionOf(thing) {
      const chosen = {};
      function set(name, value) {
        chosen[name] = value;
        const differs = Object.entries(chosen).filter(([key, one]) => one !== thing.read[key]);
        decisions.amend(thing.subject, { correction: differs.length ? Object.fromEntries(differs) : null });
      }
      const pick = (name, label, options) => choice(`${label}, ${thing.label}`, thing.read[name], options, (value) => set(name, value));
      // a finding of another name is of the organ of that name, unless it may lie anywhere
      const renamed = (value) => {
        chosen.finding = value;
        set("anatomy", (value === thing.read.finding ? thing.read.anatomy : homes.get(value)) || chosen.anatomy);
        fill(decisions.get(thing.subject).correction);
      };
      const parts = [
        ["finding", findingChoice(`right finding, ${thing.label}`, thing.read, names.findings, renamed)],
        ["anatomy", pick("anatomy", "right anatomy", names.anatomies)],
        ["status", pick("status", "right status", names.statuses)],
        ["laterality", pick("laterality", "right side", [null, ...names.sides])],
      ];
      function fill(correction) {
        for (const [name, select] of parts) {
          const value = correction && name in correction ? correction[name] : thing.read[name];
          chosen[name] = value;
          select.value = value ?? "";
        }
      }
      return [parts.map(([, select]) => select), fill];
    }

    /** The section of a sentence; its anatomies, each to be taken off, and one to be added. */
    function partsOfSentence(thing) {
      const box = element("span", { class: "picked" });
      let now = thing.read.anatomies;
      const same = () => now.length === thing.read.anatomies.length && now.every((one) => thing.read.anatomies.includes(one));
      const section = choice(`right section, ${thing.label}`, thing.read.section, names.sections, tell);
      function tell() {
        const told = { ...(same() ? {} : { anatomies: now }), ...(section.value === thing.read.section ? {} : { section: section.value }) };
        decisions.amend(thing.subject, { correction: Object.keys(told).length ? told : null });
      }
      function set(to) {
        now = to;
        tell();
        draw();
      }
      function draw() {
        const chips = now.map((one) => element("button", { type: "button", class: "off", "aria-label": `not of ${words(one)}`, click: () => set(now.filter((other) => other !== one)) }, words(one)));
        const others = names.anatomies.filter((one) => !now.includes(one));
        const add = element("select", { "aria-label": "add an anatomy", change: () => add.value && set([...now, add.value].sort()) },
          element("option", { value: "" }, "add …"), ...others.map((one) => element("option", { value: one }, words(one))));
        box.replaceChildren(...chips, add);
      }
      draw();
      return [[section, box], (correction) => {
        now = (correction && correction.anatomies) || thing.read.anatomies;
        section.value = (correction && correction.section) || thing.read.section;
        draw();
      }];
    }

    function line(thing) {
      const sentence = thing.kind === "sentence";
      const { buttons, reason } = fvlm.verdicts(decisions, thing.subject, thing.label);
      const [parts, fill] = sentence ? partsOfSentence(thing) : correctionOf(thing);
      const effect = element("span", { class: "effect" });
      const instead = element("div", { class: "instead" }, element("span", { class: "note" }, "instead"), ...parts, effect);
      const head = sentence ? `the sentence, in ${words(thing.read.section)}, of ${thing.read.anatomies.map(words).join(", ") || "no anatomy"}` : thing.label;
      function show(first) {
        const said = decisions.get(thing.subject);
        instead.hidden = !said || said.verdict !== "wrong";
        if (first || instead.hidden) fill(said && said.correction);
        const nothing = sentence ? "as it is, it will tell nothing of any anatomy" : "as it is, it will not be told";
        effect.textContent = said && said.correction ? "" : nothing;
      }
      decisions.listen(() => show(false));
      show(true);
      return element("div", { class: "line", "data-kind": thing.kind, "data-subject": thing.subject, "data-anatomies": thing.anatomy }, element("span", { class: "what" }, head), ...buttons, reason, instead);
    }

    function opener(span, sentence, things) {
      const said = things[0].label.length > 60 ? `${things[0].label.slice(0, 60)} …` : things[0].label;
      const button = element("button", { type: "button", class: "judge", "aria-expanded": "false", "aria-label": `judge: ${said}`, click: toggle });
      let panel = null;

      function toggle() {
        if (panel) return close();
        panel = element("div", { class: "panel", role: "group", "aria-label": `Review of: ${said}` }, ...things.map(line));
        panel.addEventListener("keydown", (event) => {
          if (event.key !== "Escape") return;
          close();
          button.focus();
        });
        button.after(panel);
        button.setAttribute("aria-expanded", "true");
        return panel;
      }

      function close() {
        panel.remove();
        panel = null;
        button.setAttribute("aria-expanded", "false");
      }

      function show() {
        const verdicts = things.map((one) => decisions.get(one.subject)).filter(Boolean).map((one) => one.verdict);
        const state = verdicts.includes("wrong") ? "wrong" : verdicts.length ? "right" : "open";
        button.dataset.state = state;
        button.textContent = SIGNS[state];
        for (const mark of span.querySelectorAll(".mention")) {
          mark.classList.toggle("refused", findingsAt(mark, things).some((one) => (decisions.get(one.subject) || {}).verdict === "wrong"));
        }
      }

      decisions.listen(show);
      show();
      span.after(button);
      return { open: () => panel || toggle(), button };
    }

    /** Findings that a mark in the text tells. */
    function findingsAt(mark, things) {
      const at = Number(mark.dataset.at);
      return things.filter((one) => {
        if (one.kind !== "finding") return false;
        const [, start, end] = one.subject.split(":");
        return Number(start) <= at && at < Number(end);
      });
    }

    const openers = new Map();
    for (const article of host.querySelectorAll("article[data-report]")) {
      for (const span of article.querySelectorAll(".sentence")) {
        const sentence = `${article.dataset.report}:${span.dataset.span}`;
        const things = bySentence.get(sentence);
        if (things) openers.set(sentence, opener(span, sentence, things));
      }
    }

    /** Open the panel of a text and put the keyboard on its first button. */
    function focusOn(subject) {
      const thing = texts.find((one) => one.subject === subject);
      if (!thing || !openers.has(thing.sentence)) return false;
      const lines = [...openers.get(thing.sentence).open().querySelectorAll(".line")];
      const own = lines.find((one) => one.dataset.subject === subject);
      own.scrollIntoView({ block: "center" });
      own.querySelector("button").focus();
      return true;
    }

    host.addEventListener("keydown", (event) => {
      if (!["r", "w"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!event.target.matches(".mention")) return;
      const sentence = `${event.target.closest("article").dataset.report}:${event.target.closest(".sentence").dataset.span}`;
      const verdict = event.key === "r" ? "right" : "wrong";
      const told = findingsAt(event.target, bySentence.get(sentence) || []);
      told.forEach((one) => decisions.judge(one.subject, verdict, ""));
      if (verdict === "wrong" && told.length) focusOn(told[0].subject);
    });
    return focusOn;
  };
})(window.fvlm);
