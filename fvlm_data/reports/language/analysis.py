"""The context-free parse of one sentence: all that can be said without the sentences around it.

A reading is what canonical words say, in which all numbers are one: sentences of equal words have
equal readings, so each is made once (parser.py). Offsets and sizes are the sentence's own. What
needs context (an anatomy named by a sub-header or by the sentence before) is left pending.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from fvlm_data.reports.language.aftermath import devices_apart, up_to_the_operation
from fvlm_data.reports.language.analysed import Analysis, Head, PhrasePlace, SentenceAnalysis
from fvlm_data.reports.language.anatomy import (
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
from fvlm_data.reports.language.assertion import Asserted, Target, asserted, relevant_cues, turned
from fvlm_data.reports.language.beside import landmarks, touched
from fvlm_data.reports.language.by_place import by_place
from fvlm_data.reports.language.by_side import by_side, with_respective_sides
from fvlm_data.reports.language.clauses import clause_bounds
from fvlm_data.reports.language.company import with_sides_of_company
from fvlm_data.reports.language.denied_titles import with_denied_titles
from fvlm_data.reports.language.extensions import extension_words, not_reached, with_extensions
from fvlm_data.reports.language.finding_sites import HeadSpan
from fvlm_data.reports.language.found import Found
from fvlm_data.reports.language.growths import without_growths
from fvlm_data.reports.language.heads import head_of
from fvlm_data.reports.language.lesser import without_lesser
from fvlm_data.reports.language.measured_heads import Measured, measured_heads
from fvlm_data.reports.language.measures import without_persistence
from fvlm_data.reports.language.missing_organs import missing_organs
from fvlm_data.reports.language.opening_sides import ending
from fvlm_data.reports.language.overlaps import grouped, longest
from fvlm_data.reports.language.references import refers, within_sentence
from fvlm_data.reports.language.run_on import run_on_starts
from fvlm_data.reports.language.stand_ins import with_stand_ins
from fvlm_data.reports.language.statement_parts import Said
from fvlm_data.reports.language.statements import verbless_starts
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fvlm_data.reports.language.foreign import Languages
    from fvlm_data.reports.language.medspacy_matching import AnyEngine
    from fvlm_data.reports.language.phrase_matching import CueMatch, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side, Status
    from fvlm_data.reports.language.tokens import Spans

_OPENING = frozenset({",", ";", "."})
_UNMEASURED = Measured(None, None)


_UNREAD = SentenceAnalysis((), (), (), None, carries=False)


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
    words = lexicon.read(written)
    reading = reading_of(words)
    if not reading.heads:
        return Analysis(reading, ())
    spans = lexicon.places(text, written)
    measured = measured_heads(
        text, words, spans, reading.clauses, reading.measured, reading.organs, book
    )
    return Analysis(reading, tuple([_place(head, spans, measured) for head in reading.heads]))


def _place(head: Head, spans: Spans, measured: Mapping[tuple[int, int], Measured]) -> PhrasePlace:
    return PhrasePlace(
        spans[head.start][0],
        spans[head.end - 1][1],
        _characters(head.location, spans),
        measured.get((head.start, head.end), _UNMEASURED),
        _characters(head.cue, spans),
    )


def _characters(tokens: tuple[int, int] | None, spans: Spans) -> tuple[int, int] | None:
    return (spans[tokens[0]][0], spans[tokens[1] - 1][1]) if tokens else None


def read_words(words: tuple[str, ...], book: Phrasebook, engine: AnyEngine) -> SentenceAnalysis:
    """Read the canonical words of one sentence."""
    if not words:
        return SentenceAnalysis((), (), (), None, False)
    doc = engine.doc(words)
    matches = grouped(engine.targets(doc))
    sides = _sides(matches["side"])
    grammar = book.grammar
    mentions = anatomy_mentions(matches["anatomy"], words, sides, grammar)
    spans = _spans(matches, mentions, words, book)
    if not spans:  # nothing whose status cues or clauses could tell
        return _summed((), words, mentions, (), book, sides=sides)
    cues = _cues(engine.cues(doc), spans, words, book)
    spans = without_comparisons(spans, cues, words, book)
    spans = with_stand_ins(spans, mentions, sides, words, book)
    run_on = run_on_starts(words, spans, mentions, cues, book)
    degrees = [*matches["change"], *matches["severity"]]
    said_in = Said(words, spans, mentions, cues, degrees, sides, run_on)
    apart = verbless_starts(said_in, book)
    ends = ending(matches["terminator"], words, sides, grammar) if sides else matches["terminator"]
    clauses = clause_bounds(words, book, ends, cues, run_on | apart)
    extensions = extension_words(words, spans, book)
    places = [(span.start, span.end) for span in spans] + [(i, i + 1) for i in extensions]
    said = _without_change(
        asserted(words, clauses, cues, _targets(spans, places, book), book.grammar),
        places,
        cues,
        words,
        book.grammar.denials,
    )
    said = devices_apart(said, spans, words, book) + said[len(spans) :]
    near = landmarks(mentions, words, grammar)
    placing = [mention for mention in mentions if mention not in near] if near else mentions
    role = roles(words, book, placing, [(span.start, span.end) for span in spans])
    sentence = Found(
        words,
        tuple(clauses),
        tuple(role),
        tuple(mentions),
        tuple(spans),
        tuple(sides),
        tuple(longest(matches["severity"])),
        tuple(
            without_persistence(
                longest(matches["change"]), words, places[: len(spans)], grammar.persistence
            )
        ),
        tuple(longest(matches["count"])),
        runs_on=bool(run_on),
        refers=any(refers(side) for one in matches["side"] for side in one.phrase.sides),
    )
    outside = touched(mentions, words, [span.start for span in spans], book)
    outside += near
    sites = [mention for mention in mentions if mention not in outside]
    everywhere = Attachment(
        words, role, clauses, sites, book.grammar, runs_on=bool(run_on), apart=apart
    )
    attachment = everywhere
    if extensions:
        unreached = not_reached(extensions, spans, said, attachment)
        sites = [mention for mention in sites if mention not in unreached]
        attachment = Attachment(
            words, role, clauses, sites, book.grammar, runs_on=bool(run_on), apart=apart
        )
    heads = [
        head_of(span, said_of, sentence, attachment, book)
        for span, said_of in zip(spans, said[: len(spans)], strict=True)
    ]
    if extensions:
        told = said[len(spans) :]
        heads = with_extensions(heads, extensions, told, everywhere, words, book)
    if len(sides) > 1:
        heads = [one for head in heads for one in by_side(head, sentence, book)]
        heads = with_respective_sides(heads, sentence, grammar)
    heads = by_place(with_denied_titles(heads, words), sentence, grammar)
    if sides and len(heads) > 1:
        heads = with_sides_of_company(heads, words, role, book)
    if len(heads) > 1:
        heads = without_lesser(heads, words, book)
    return _summed(tuple(heads), words, mentions, sentence.clauses, book, outside, sides=sides)


def _spans(
    matches: Mapping[str, Sequence[Match]],
    mentions: Sequence[AnatomyMention],
    words: tuple[str, ...],
    book: Phrasebook,
) -> list[HeadSpan]:
    """What is told of: findings, verdicts, organs that are described or gone."""
    spans = head_spans(matches["head"], words, book)
    if len(spans) > 1:
        spans = without_growths(spans, mentions, words, book)
    if any(not book.described.keys().isdisjoint(one.anatomies) for one in mentions):
        spans = described_anatomies(mentions, spans, words, book)
    spans = missing_organs(spans, mentions, words, book)
    return _without_changes(spans, matches["change"], words)


def _cues(
    found: Sequence[CueMatch], spans: Sequence[HeadSpan], words: tuple[str, ...], book: Phrasebook
) -> list[CueMatch]:
    """The cues that count, and how far those of an operation reach."""
    named = [(s.start, s.end) for s in spans if s.kind == "finding" or _removes(s, words, book)]
    cues = relevant_cues(found, words, named)
    cues = turned(cues, words, book.phrase_ends)
    return up_to_the_operation(cues, spans, words, book)


def _targets(
    spans: Sequence[HeadSpan], places: Sequence[tuple[int, int]], book: Phrasebook
) -> list[Target]:
    """Heads, then other places, as targets of cues."""
    heads = [Target(span.start, span.end, _lasts(span, book)) for span in spans]
    return heads + [Target(*place) for place in places[len(spans) :]]


def _lasts(span: HeadSpan, book: Phrasebook) -> bool:
    """Whether a head names an implant or an operation, which last once they are there."""
    return bool(span.terms) and all(book.terms[term].lasting for term in span.terms)


def _removes(span: HeadSpan, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether a head is no more than that an organ is gone."""
    return span.kind == "observation" and " ".join(words[span.start : span.end]) in book.removals


def _without_changes(
    spans: list[HeadSpan], changes: Sequence[Match], words: Sequence[str]
) -> list[HeadSpan]:
    """Heads but for words that only say how the finding right before them changed.

    "Effusion increased, heart size normal": the heart is not increased in size.
    """
    ends = {span.end for span in spans if span.kind != "normal"}
    found = [span.end for span in spans if span.kind == "finding" or span.observation]
    # "the abscess of the muscle has shrunk to 15 mm": the muscle is not shrunken
    shrunk = {
        i
        for m in changes
        if NUMBER in words[m.end : m.end + 2] and any(end <= m.start for end in found)
        for i in range(m.start, m.end)
    }
    told = {
        i
        for m in changes
        if not words[m.end - 1].isalnum() and m.start in ends
        for i in range(m.start, m.end)
    }
    return [span for span in spans if span.kind == "finding" or span.start not in told | shrunk]


def assert_target(text: str, start: int, end: int, book: Phrasebook, engine: AnyEngine) -> Status:
    """Status of the characters [start, end) of a sentence, whatever they are."""
    words = book.lexicon.words(text)
    spans = book.lexicon.spans(text)
    inside = [i for i, (first, past) in enumerate(spans) if first < end and start < past]
    if not inside:
        return "present"
    doc = engine.doc(words)
    named = [
        span
        for span in head_spans(grouped(engine.targets(doc))["head"], words, book)
        if span.start <= inside[-1] and inside[0] < span.end
    ]
    target = Target(inside[0], inside[-1] + 1, any(_lasts(span, book) for span in named))
    cues = relevant_cues(engine.cues(doc), words, [(target.start, target.end)])
    terminators = grouped(engine.targets(doc))["terminator"]
    clauses = clause_bounds(words, book, terminators, cues)
    said = asserted(words, clauses, cues, [target], book.grammar)
    place = (target.start, target.end)
    return _without_change(said, [place], cues, words, book.grammar.denials)[0].status


def _without_change(
    said: Sequence[Asserted],
    places: Sequence[tuple[int, int]],
    cues: Sequence[CueMatch],
    words: Sequence[str],
    denials: frozenset[str],
) -> list[Asserted]:
    """Deny what a cue of "no change" names: "no increase in wall thickness" is no thickening."""
    denied = [
        (cue.start, cue.end)
        for cue in cues
        if cue.cue.direction == "pseudo" and not denials.isdisjoint(words[cue.start : cue.end])
    ]
    if not denied:
        return list(said)
    return [_denied(place, one, denied) for place, one in zip(places, said, strict=True)]


def _denied(place: tuple[int, int], said: Asserted, denied: Sequence[tuple[int, int]]) -> Asserted:
    cue = next(((s, past) for s, past in denied if s < place[1] and place[0] < past), None)
    return said if cue is None else Asserted("absent", "no_change", cue, said.doubts)


def _sides(matches: Sequence[Match]) -> list[tuple[int, int, Side]]:
    if not matches:
        return []
    sides = sorted((m.start, m.end, side) for m in longest(matches) for side in m.phrase.sides)
    return within_sentence(sides) if any(refers(side) for _, _, side in sides) else sides


def _unsaid(
    heads: Sequence[Head],
    words: tuple[str, ...],
    mentions: Sequence[AnatomyMention],
    clauses: Sequence[int],
    book: Phrasebook,
) -> tuple[int, ...]:
    """Ends of mentions that begin a statement on an organ of which no head in it tells.

    And of words for its size behind a verdict: "the liver is normal in size (14 cm)".
    """
    if not heads or NUMBER not in words:
        return ()
    named: dict[int, set[str]] = defaultdict(set)
    for head in heads:
        if head.kind == "normal":  # a verdict leaves the organ its size
            continue
        told = named[clauses[head.start]]
        told.update(anatomy for _, anatomy, _ in head.findings)
        told.update(site.split(".")[0] for site in head.sites)
    if any(not told.isdisjoint(book.described) for told in named.values()):
        return ()  # nodes may lie anywhere
    ahead = book.grammar.articles | book.grammar.places
    made = []
    for mention in mentions:
        i = mention.start - 1
        while i >= 0 and words[i] in ahead:
            i -= 1
        told = named.get(clauses[mention.start], set())
        if (i < 0 or words[i] in _OPENING) and told.isdisjoint(mention.anatomies):
            made.append(mention.end)
    for head in heads:
        if head.kind == "normal":
            size = [i for i in range(head.end, head.end + 2) if words[i : i + 1]]
            made += [i + 1 for i in size if words[i] in book.grammar.of_organ]
    return tuple(made)


def _summed(
    heads: tuple[Head, ...],
    words: tuple[str, ...],
    mentions: Sequence[AnatomyMention],
    clauses: tuple[int, ...],
    book: Phrasebook,
    outside: Sequence[AnatomyMention] = (),
    *,
    sides: Sequence[tuple[int, int, Side]] = (),
) -> SentenceAnalysis:
    inside = [m for m in mentions if m not in outside] if outside else mentions
    sites = tuple(dict.fromkeys([site for m in inside for site in m.sites]))
    named = {anatomy for head in heads for _, anatomy, _ in head.findings} if heads else set()
    anatomies = named.union(*[mention.anatomies for mention in mentions])
    carries = words[0] in book.carry_firsts and any(
        words[:length] in book.carry for length in book.carry_lengths
    )
    return SentenceAnalysis(
        heads=heads,
        sites=sites or tuple(sorted(named)),
        anatomies=tuple(sorted(anatomies)),
        side=joined([mention.side for mention in mentions]) if mentions else None,
        carries=carries,
        named=not sites,
        clauses=clauses,
        measured=tuple(
            [
                (head.start, head.end)
                for head in heads
                if head.findings or (head.observation and not head.sites)
            ]
        ),
        organs=_unsaid(heads, words, mentions, clauses, book),
        refers=any(refers(side) for _, _, side in sides),
    )
