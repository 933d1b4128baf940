"""The context-free parse of one sentence: all that can be said without the sentences around it.

A reading is what canonical words say, in which all numbers are one: sentences of equal words have
equal readings, so each is made once (parser.py). Offsets and sizes are the sentence's own. What
needs context (an anatomy named by a sub-header or by the sentence before) is left pending.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fvlm_data.reports.language.anatomy import (
    OTHER,
    AnatomyMention,
    Attachment,
    anatomy_mentions,
    joined,
    roles,
)
from fvlm_data.reports.language.asserted_phrases import (
    described_anatomies,
    head_spans,
    without_comparisons,
)
from fvlm_data.reports.language.assertion import Target, relevant_cues, statuses
from fvlm_data.reports.language.clauses import clause_bounds, run_on_starts
from fvlm_data.reports.language.finding_sites import HeadSpan, meant, observed, side_at
from fvlm_data.reports.language.measures import (
    change_of,
    count_of,
    own_side,
    severity_of,
    side_of,
    sides_in_turn,
)
from fvlm_data.reports.language.overlaps import grouped, of_kind
from fvlm_data.reports.language.sizes import Measured, measured_heads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fvlm_data.reports.language.foreign import Languages
    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.phrase_matching import CueMatch, Engine, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Change, Laterality, Severity, Status
    from fvlm_data.reports.language.tokens import Spans

_LONGEST_LOCATION = 12
_UNMEASURED = Measured(None, None)


@dataclass(slots=True, eq=False)
class Head:
    """A finding, an observation or a verdict, in tokens [start, end) of a sentence.

    `findings` (id, anatomy, side) are those named outright or by observation and site. `sites`
    are what it is about, none where only context can tell; `observation` are its words for that
    look-up.
    """

    start: int
    end: int
    kind: str
    status: Status
    findings: tuple[tuple[str, str, Laterality | None], ...]
    sites: tuple[str, ...]
    observation: str
    side: Laterality | None
    severity: Severity | None
    count: str | None
    location: tuple[int, int] | None
    """Tokens that say where it lies."""
    change: Change | None
    abnormal: bool
    """Whether it is an abnormality even where no finding covers it."""
    elsewhere: bool
    """Whether it is denied, and what tells a side comes after ("none except on the left")."""


@dataclass(frozen=True, slots=True, eq=False)
class SentenceAnalysis:
    """What the words of a sentence say by themselves; equal only to itself, so quick to look up.

    `clauses` are the clause numbers of its tokens, `measured` tokens [start, end) of the heads
    that may have a size.
    """

    heads: tuple[Head, ...]
    sites: tuple[str, ...]
    anatomies: tuple[str, ...]
    side: Laterality | None
    carries: bool
    clauses: tuple[int, ...] = ()
    measured: tuple[tuple[int, int], ...] = ()


_UNREAD = SentenceAnalysis((), (), (), None, carries=False)


@dataclass(frozen=True, slots=True)
class PhrasePlace:
    """Where a head stands in the characters of a sentence, and the sizes stated of it."""

    start: int
    end: int
    location: tuple[int, int] | None
    size: Measured


@dataclass(frozen=True, slots=True)
class Analysis:
    """The reading of a sentence, with the place of each of its heads.

    `language` is that of a sentence which is not read, none for the vocabulary's own.
    """

    reading: SentenceAnalysis
    places: tuple[PhrasePlace, ...]
    language: str | None = None


def analyse(
    text: str,
    book: Phrasebook,
    known: Languages,
    reading_of: Callable[[tuple[str, ...]], SentenceAnalysis],
) -> Analysis:
    """Analyse one sentence without its context; `reading_of` gives the reading of words."""
    lexicon = book.lexicon
    written = lexicon.split(text)
    language = known.other_than_own(text, written)
    if language is not None:
        return Analysis(_UNREAD, (), language)
    words = tuple(map(lexicon.canonical, written))
    reading = reading_of(words)
    if not reading.heads:
        return Analysis(reading, ())
    spans = lexicon.spans(text)
    measured = measured_heads(text, words, spans, reading.clauses, reading.measured, book)
    return Analysis(reading, tuple(_place(head, spans, measured) for head in reading.heads))


def _place(head: Head, spans: Spans, measured: Mapping[tuple[int, int], Measured]) -> PhrasePlace:
    told = head.location
    return PhrasePlace(
        spans[head.start][0],
        spans[head.end - 1][1],
        (spans[told[0]][0], spans[told[1] - 1][1]) if told else None,
        measured.get((head.start, head.end), _UNMEASURED),
    )


def read_words(words: tuple[str, ...], book: Phrasebook, engine: Engine) -> SentenceAnalysis:
    """Read the canonical words of one sentence."""
    if not words:
        return SentenceAnalysis((), (), (), None, False)
    doc = engine.doc(words)
    matches = grouped(engine.targets(doc))
    sides = _sides(matches["side"])
    mentions = anatomy_mentions(matches["anatomy"], words, sides, book.grammar.light)
    spans = head_spans(matches["head"], words, book)
    if any(anatomy in book.described for mention in mentions for anatomy in mention.anatomies):
        spans = described_anatomies(mentions, spans, words, book)
    named = [(s.start, s.end) for s in spans if s.kind == "finding"]
    cues = relevant_cues(engine.cues(doc), words, named)
    spans = without_comparisons(spans, cues, words, book)
    run_on = run_on_starts(words, spans, mentions, cues, book)
    clauses = clause_bounds(words, book, matches["terminator"], cues, run_on)
    targets = [Target(span.start, span.end) for span in spans]
    said = _without_change(
        statuses(words, clauses, cues, targets, book.grammar),
        [(s.start, s.end) for s in spans],
        cues,
        words,
        book.grammar.denials,
    )
    role = roles(words, book, mentions, [(span.start, span.end) for span in spans])
    sentence = _Sentence(
        words,
        tuple(clauses),
        tuple(role),
        tuple(mentions),
        tuple(spans),
        tuple(sides),
        of_kind(matches["severity"], "severity"),
        of_kind(matches["change"], "change"),
        of_kind(matches["count"], "count"),
        runs_on=bool(run_on),
    )
    within = book.grammar.within
    attachment = Attachment(words, role, clauses, mentions, within, runs_on=bool(run_on))
    heads = tuple(
        head
        for span, status in zip(spans, said, strict=True)
        for head in _by_side(_head(span, status, sentence, attachment, book), sentence, book)
    )
    return _summed(heads, sentence, book)


@dataclass(slots=True)
class _Sentence:
    words: tuple[str, ...]
    clauses: tuple[int, ...]
    roles: tuple[int, ...]
    mentions: tuple[AnatomyMention, ...]
    spans: tuple[HeadSpan, ...]
    sides: tuple[tuple[int, int, Laterality], ...]
    severities: tuple[Match, ...]
    changes: tuple[Match, ...]
    counts: tuple[Match, ...]
    runs_on: bool
    """Whether a statement begins in it without any mark."""


def assert_target(text: str, start: int, end: int, book: Phrasebook, engine: Engine) -> Status:
    """Status of the characters [start, end) of a sentence, whatever they are."""
    words = book.lexicon.words(text)
    spans = book.lexicon.spans(text)
    inside = [i for i, (first, past) in enumerate(spans) if first < end and start < past]
    if not inside:
        return "present"
    target = Target(inside[0], inside[-1] + 1)
    doc = engine.doc(words)
    cues = relevant_cues(engine.cues(doc), words, [(target.start, target.end)])
    terminators = grouped(engine.targets(doc))["terminator"]
    clauses = clause_bounds(words, book, terminators, cues)
    said = statuses(words, clauses, cues, [target], book.grammar)
    place = (target.start, target.end)
    return _without_change(said, [place], cues, words, book.grammar.denials)[0]


def _without_change(
    said: Sequence[Status],
    places: Sequence[tuple[int, int]],
    cues: Sequence[CueMatch],
    words: Sequence[str],
    denials: frozenset[str],
) -> list[Status]:
    """Deny what a cue of "no change" names: "no increase in wall thickness" is no thickening."""
    denied = [
        (cue.start, cue.end)
        for cue in cues
        if cue.cue.direction == "pseudo" and not denials.isdisjoint(words[cue.start : cue.end])
    ]
    if not denied:
        return list(said)
    return [
        "absent" if any(start < past and first < end for start, end in denied) else status
        for (first, past), status in zip(places, said, strict=True)
    ]


def _sides(matches: Sequence[Match]) -> list[tuple[int, int, Laterality]]:
    if not matches:
        return []
    kept = of_kind(matches, "side")
    return sorted(
        (m.start, m.end, meaning.value)  # type: ignore[misc]
        for m in kept
        for meaning in m.meanings
        if meaning.kind == "side"
    )


def _head(
    span: HeadSpan,
    status: Status,
    sentence: _Sentence,
    attachment: Attachment,
    book: Phrasebook,
) -> Head:
    words = " ".join(sentence.words[span.start : span.end])
    about, terms = meant(span, words, attachment, book)
    kind = span.kind
    if sentence.runs_on and not about and words in book.alone:
        # The organs of other statements tell nothing of this one.
        kind, terms = "finding", tuple((t, book.terms[t].anatomy) for t in book.alone[words])
    elsewhere = status == "absent" and _sides_come_after(span, sentence)
    if elsewhere:
        about = tuple(replace(mention, side=None) for mention in about)
    if span.kind == "finding":
        terms += _shared(span, sentence, attachment, book)
    place = (span.start, span.end)
    roles, clauses = sentence.roles, sentence.clauses
    said = side_of(place, sentence.sides, roles, clauses) if sentence.sides else None
    told = None
    if sentence.sides and not elsewhere:
        told = own_side(place, sentence.sides, roles) or _told_elsewhere(span, about, sentence)
    return Head(
        start=span.start,
        end=span.end,
        kind=kind,
        status=status,
        findings=tuple(
            (
                term,
                anatomy,
                told or side_at(about, book.terms[term].sites or (anatomy,)) or said,
            )
            for term, anatomy in terms
        ),
        sites=tuple(dict.fromkeys(site for mention in about for site in mention.sites)),
        observation=words if kind == "observation" else "",
        side=told or joined([m.side for m in about]) or said,
        severity=severity_of(place, sentence.severities, roles, clauses),
        count=count_of(place, sentence.counts, roles, clauses),
        location=_location(about, sentence, book.grammar),
        change=change_of(place, sentence.changes, roles, clauses),  # type: ignore[arg-type]
        abnormal=span.abnormal,
        elsewhere=elsewhere,
    )


def _by_side(head: Head, sentence: _Sentence, book: Phrasebook) -> tuple[Head, ...]:
    """A mention a side: "moderate right and small left effusions" are two, of their own degree."""
    sides = sentence.sides
    if len(sides) < 2 or not head.findings:
        return (head,)
    pair = sides_in_turn(head.start, sides, sentence.words, sentence.roles, book)
    if pair is None:
        return (head,)
    roles, clauses = sentence.roles, sentence.clauses
    made = []
    for first, side in pair:
        place = (first, head.end)
        made.append(
            replace(
                head,
                start=first,
                findings=tuple((term, anatomy, side) for term, anatomy, _ in head.findings),
                side=side,
                severity=severity_of(place, sentence.severities, roles, clauses),
            )
        )
    return tuple(made)


def _sides_come_after(span: HeadSpan, sentence: _Sentence) -> bool:
    """Whether only later clauses tell a side: "no nodule except one in the left upper lobe"."""
    clause = sentence.clauses[span.start]
    sided = [sentence.clauses[m.start] for m in sentence.mentions if m.side]
    return bool(sided) and min(sided) > clause


def _told_elsewhere(
    span: HeadSpan, about: Sequence[AnatomyMention], sentence: _Sentence
) -> Laterality | None:
    """Side in a clause that leaves its organ out ("the right kidney is normal, the left has")."""
    clause = sentence.clauses[span.start]
    if not about or not sentence.sides or any(sentence.clauses[m.start] == clause for m in about):
        return None
    return joined([side for start, _, side in sentence.sides if sentence.clauses[start] == clause])


def _location(
    about: Sequence[AnatomyMention], sentence: _Sentence, grammar: FunctionWords
) -> tuple[int, int] | None:
    """Tokens that tell a location within the anatomy: a side, a lobe, a segment."""
    words = sentence.words
    if not about:
        return None
    first, past = about[0].start, about[-1].end
    if past - first > _LONGEST_LOCATION:
        first, past = about[0].start, about[0].end
    while first > 0 and sentence.roles[first - 1] == OTHER and words[first - 1] in grammar.places:
        first -= 1
    while past < len(words) and words[past] in grammar.places_and_numbers:
        past += 1
    if past - first == 1 and about[0].side is None:
        return None
    return first, past


def _shared(
    span: HeadSpan, sentence: _Sentence, attachment: Attachment, book: Phrasebook
) -> tuple[tuple[str, str], ...]:
    """What anatomies listed before a finding share with it ("pericardial, pleural effusion")."""
    first = next((m for m in sentence.mentions if m.start == span.start and m.end < span.end), None)
    if first is None:
        return ()
    tail = " ".join(sentence.words[first.end : span.end])
    listed = attachment.listed_before(first)
    return observed(tail, [site for mention in listed for site in mention.sites], book)


def _summed(heads: tuple[Head, ...], sentence: _Sentence, book: Phrasebook) -> SentenceAnalysis:
    mentions, words = sentence.mentions, sentence.words
    sites = tuple(dict.fromkeys(site for m in mentions for site in m.sites))
    named = {anatomy for head in heads for _, anatomy, _ in head.findings}
    anatomies = {site.split(".")[0] for site in sites} | named
    carries = words[0] in book.carry_firsts and any(
        words[:length] in book.carry for length in book.carry_lengths
    )
    return SentenceAnalysis(
        heads=heads,
        sites=sites or tuple(sorted(named)),
        anatomies=tuple(sorted(anatomies)),
        side=joined([mention.side for mention in mentions]),
        carries=carries,
        clauses=sentence.clauses,
        measured=tuple(
            (head.start, head.end)
            for head in heads
            if head.findings or (head.observation and not head.sites)
        ),
    )
