"""Findings and impression reconciled: the state of each anatomy, and CT-RATE's labels.

The reference code calls an anatomy normal when the impression is silent about it, which is wrong
for 14 to 41 % of them: here a finding stated anywhere makes it abnormal, and silence is a state
of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from fvlm_data.reports.language.records import ASSERTING_SECTIONS, AnatomyState, Contradiction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from fvlm_data.reports.language.records import FindingMention, Sentence, State, Verdict
    from fvlm_data.vocabulary import Vocabulary
    from fvlm_data.vocabulary.label_sets import LabelSet

Assessment = Literal["abnormal", "normal", "neutral"]
"""What one sentence says of one anatomy."""


def assessments(parsed: Assertions) -> list[dict[str, Assessment]]:
    """For each sentence what it says of each anatomy that it speaks of, by id, sorted.

    Abnormal where a finding is present (or held possible, as configured), normal where the
    sentence says so or denies a finding, else neutral ("the liver was biopsied").
    """
    said: list[dict[str, Assessment]] = [
        dict.fromkeys(sentence.anatomies, "neutral") for sentence in parsed.sentences
    ]
    for verdict in parsed.normal:
        said[verdict.sentence][verdict.anatomy] = "normal"
    for mention in parsed.findings:
        if mention.status == "absent":
            said[mention.sentence][mention.anatomy] = "normal"
    for mention in parsed.findings:
        if _holds(mention, parsed.uncertain_counts):
            said[mention.sentence][mention.anatomy] = "abnormal"
    return [dict(sorted(one.items())) for one in said]


class Mentioned(Protocol):
    """What labels read of a mention."""

    @property
    def finding(self) -> str:
        """Finding id."""

    @property
    def status(self) -> str:
        """What is asserted."""

    @property
    def size_mm(self) -> float | None:
        """Its size today."""


class Assertions(Protocol):
    """What reconciling reads of a `ParsedReport`."""

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """All sentences, in order."""

    @property
    def findings(self) -> tuple[FindingMention, ...]:
        """All mentions."""

    @property
    def normal(self) -> tuple[Verdict, ...]:
        """Sentences that call an anatomy normal."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that it was read by."""

    @property
    def uncertain_counts(self) -> bool:
        """Whether what is held possible makes an anatomy abnormal."""


def anatomy_states(parsed: Assertions) -> dict[str, AnatomyState]:
    """State of every anatomy of the vocabulary, by id.

    Abnormal if any sentence of an asserting section calls it so, normal only if one says so.
    """
    mentions: dict[str, list[FindingMention]] = {}
    asserting = _asserting(parsed)
    for mention in parsed.findings:
        if mention.sentence in asserting:
            mentions.setdefault(mention.anatomy, []).append(mention)
    spoken: dict[str, dict[int, Assessment]] = {}
    for index, said in enumerate(assessments(parsed)):
        if index in asserting:
            for anatomy, assessment in said.items():
                spoken.setdefault(anatomy, {})[index] = assessment
    return {
        anatomy.id: AnatomyState(
            _state(spoken.get(anatomy.id, {}).values()),
            tuple(mentions.get(anatomy.id, ())),
            tuple(spoken.get(anatomy.id, ())),
        )
        for anatomy in parsed.vocabulary.anatomies
    }


def contradictions(parsed: Assertions) -> list[Contradiction]:
    """What a report both states and denies, in order of anatomy, finding, sentence.

    A finding that is present in one sentence and absent in another, on sides that overlap; and an
    anatomy called normal in one section where another section tells a finding of it. What is only
    not new, and what is asked or past, contradicts nothing. Each sentence that contradicts is named
    with the first of those that it contradicts: all pairs would be the square of them.
    """
    asserting = _asserting(parsed)
    mentions = [m for m in parsed.findings if m.sentence in asserting]
    stated = [m for m in mentions if m.status == "present"]
    denied = [
        m
        for m in mentions
        if m.status == "absent" and m.change not in ("new", "resolved") and not m.location
    ]
    pairs = [(no, yes) for yes, no in _first_opposed(stated, denied)]
    pairs += _first_opposed(denied, stated)
    made = {Contradiction(yes.anatomy, yes.finding, no.sentence, yes.sentence) for no, yes in pairs}
    made |= _normal_and_not(parsed, stated)
    return sorted(made, key=lambda c: (c.anatomy, c.finding or "", c.denied_in, c.stated_in))


def _first_opposed(
    ones: Iterable[FindingMention], others: Iterable[FindingMention]
) -> list[tuple[FindingMention, FindingMention]]:
    """Each of `ones` with the first of `others` in another sentence, on an overlapping side."""
    # two of each side are enough: one may be in the same sentence
    firsts: dict[tuple[str, str], dict[str | None, list[FindingMention]]] = {}
    for other in sorted(others, key=lambda m: m.sentence):
        sides = firsts.setdefault((other.finding, other.anatomy), {})
        kept = sides.setdefault(other.laterality, [])
        if len(kept) < 2 and other.sentence not in [m.sentence for m in kept]:
            kept.append(other)
    made = []
    for one in ones:
        sides = firsts.get((one.finding, one.anatomy), {})
        opposed = [
            other
            for kept in sides.values()
            for other in kept
            if other.sentence != one.sentence and _sides_overlap(one, other)
        ]
        if opposed:
            made.append((one, min(opposed, key=lambda m: m.sentence)))
    return made


def _normal_and_not(parsed: Assertions, stated: Iterable[FindingMention]) -> set[Contradiction]:
    """Anatomies that one section calls normal and of which another tells a finding."""
    asserting = _asserting(parsed)
    normal = [(one.anatomy, one.sentence) for one in parsed.normal if one.sentence in asserting]
    findings = [(one.anatomy, one.sentence) for one in stated]
    pairs = [(no, yes) for yes, no in _first_elsewhere(parsed, findings, normal)]
    pairs += _first_elsewhere(parsed, normal, findings)
    return {Contradiction(anatomy, None, no, yes) for (anatomy, no), (_, yes) in pairs}


def _first_elsewhere(
    parsed: Assertions, ones: Iterable[tuple[str, int]], others: Iterable[tuple[str, int]]
) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    """Each of `ones` (anatomy, sentence) with the first of `others` of another section."""
    firsts: dict[str, dict[str, int]] = {}
    for anatomy, sentence in others:
        sections = firsts.setdefault(anatomy, {})
        section = parsed.sentences[sentence].section
        sections[section] = min(sentence, sections.get(section, sentence))
    made = []
    for anatomy, sentence in ones:
        here = parsed.sentences[sentence].section
        elsewhere = [first for section, first in firsts.get(anatomy, {}).items() if section != here]
        if elsewhere:
            made.append(((anatomy, sentence), (anatomy, min(elsewhere))))
    return made


def _sides_overlap(one: FindingMention, other: FindingMention) -> bool:
    sides = {one.laterality, other.laterality}
    return len(sides) == 1 or None in sides or "bilateral" in sides


def ct_rate_labels(parsed: Assertions) -> dict[str, int]:
    """CT-RATE's 18 labels by column name: 1 where stated or held possible, else 0."""
    return labels(parsed, "ct_rate")


def labels(parsed: Assertions, name: str) -> dict[str, int]:
    """Labels of a data set (`label_sets` of the vocabulary), by name.

    1 where one of its findings is stated or held possible, else 0; of a set that tells what is not
    mentioned (Merlin: -1), 0 only where the finding is denied or all that it may lie in is called
    normal.

    Raises:
        ConfigError: no set has that name.
    """
    asserting = _asserting(parsed)
    called = {verdict.anatomy for verdict in parsed.normal if verdict.sentence in asserting}
    states = anatomy_states(parsed)
    return label_values(
        [m for m in parsed.findings if m.sentence in asserting],
        {anatomy for anatomy in called if states[anatomy].state == "normal_stated"},
        parsed.vocabulary.label_set(name),
        parsed.vocabulary,
        uncertain_counts=parsed.uncertain_counts,
    )


def label_values(
    mentions: Sequence[Mentioned],
    normal: Collection[str],
    wanted: LabelSet,
    vocabulary: Vocabulary,
    *,
    uncertain_counts: bool,
) -> dict[str, int]:
    """Labels of a set by `mentions` in asserting sections and the anatomies called `normal`."""
    implied = vocabulary.implied
    anatomy_of = {term.id: term.anatomy for term in vocabulary.findings}
    made = {}
    for label, rule in wanted.labels.items():
        meant = frozenset(rule.any)
        about = [m for m in mentions if meant & {m.finding, *implied.get(m.finding, ())}]
        held = [m for m in about if _holds(m, uncertain_counts)]
        if rule.over_mm is not None:
            held = [m for m in held if m.size_mm is not None and m.size_mm > rule.over_mm]
        denied = any(m.status == "absent" and m.finding in meant for m in about)
        denied |= {anatomy_of[finding] for finding in meant} <= set(normal)
        made[label] = 1 if held else 0 if denied else wanted.unmentioned
    return made


def _asserting(parsed: Assertions) -> set[int]:
    return {i for i, s in enumerate(parsed.sentences) if s.section in ASSERTING_SECTIONS}


def _holds(mention: Mentioned, uncertain_counts: bool) -> bool:
    return mention.status == "present" or (uncertain_counts and mention.status == "uncertain")


def _state(said: Collection[Assessment]) -> State:
    if "abnormal" in said:
        return "abnormal"
    return "normal_stated" if "normal" in said else "not_mentioned"
