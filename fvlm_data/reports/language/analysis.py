"""The context-free parse of one sentence: all that can be said without the sentences around it.

A reading is what canonical words say, in which all numbers are one: sentences of equal words have
equal readings, so each is made once (parser.py). Offsets and sizes are the sentence's own. What
needs context (an anatomy named by a sub-header or by the sentence before) is left pending.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fvlm_data.reports.language.analysed import Analysis, Head, PhrasePlace, SentenceAnalysis
from fvlm_data.reports.language.anatomy import (
    JOINT,
    OF,
    OTHER,
    PREPOSITION,
    VERB,
    AnatomyMention,
    Attachment,
    anatomy_mentions,
    joined,
    landmarks,
    roles,
    touched,
)
from fvlm_data.reports.language.asserted_phrases import (
    described_anatomies,
    head_spans,
    with_stand_ins,
    without_comparisons,
    without_growths,
)
from fvlm_data.reports.language.assertion import Asserted, Target, asserted, relevant_cues, turned
from fvlm_data.reports.language.clauses import clause_bounds, run_on_starts
from fvlm_data.reports.language.company import with_sides_of_company
from fvlm_data.reports.language.extensions import extension_words, not_reached, with_extensions
from fvlm_data.reports.language.finding_sites import HeadSpan, kinds_named, meant, observed, side_at
from fvlm_data.reports.language.measures import (
    change_of,
    changes_by_side,
    count_of,
    own_side,
    severity_of,
    side_before,
    side_of,
    sides_in_turn,
    without_persistence,
)
from fvlm_data.reports.language.missing_organs import missing_organs
from fvlm_data.reports.language.overlaps import grouped, longest
from fvlm_data.reports.language.references import refers, within_sentence
from fvlm_data.reports.language.side_answers import side_answers
from fvlm_data.reports.language.sizes import Measured, measured_heads
from fvlm_data.reports.language.statements import Said, verbless_starts
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fvlm_data.reports.language.decisions import Doubt
    from fvlm_data.reports.language.foreign import Languages
    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.medspacy_matching import AnyEngine
    from fvlm_data.reports.language.phrase_matching import CueMatch, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Change, Side, Status
    from fvlm_data.reports.language.side_answers import SideAnswer
    from fvlm_data.reports.language.tokens import Spans

_LONGEST_LOCATION = 12
_OPENING = frozenset({",", ";", "."})
_LASTING = frozenset({"stable", "increased", "decreased"})
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
    spans = head_spans(matches["head"], words, book)
    if len(spans) > 1:
        spans = without_growths(spans, mentions, words, book)
    if any(not book.described.keys().isdisjoint(one.anatomies) for one in mentions):
        spans = described_anatomies(mentions, spans, words, book)
    spans = missing_organs(spans, mentions, words, book)
    spans = _without_changes(spans, matches["change"], words)
    if not spans:  # nothing whose status cues or clauses could tell
        return _summed((), words, mentions, (), book, sides=sides)
    named = [
        (s.start, s.end)
        for s in spans
        if s.kind == "finding" or " ".join(words[s.start : s.end]) in book.removals
    ]
    cues = relevant_cues(engine.cues(doc), words, named)
    cues = turned(cues, words, book.phrase_ends)
    spans = without_comparisons(spans, cues, words, book)
    spans = with_stand_ins(spans, mentions, sides, words, book)
    run_on = run_on_starts(words, spans, mentions, cues, book)
    degrees = [*matches["change"], *matches["severity"]]
    apart = verbless_starts(Said(words, spans, mentions, cues, degrees, sides), book)
    clauses = clause_bounds(words, book, matches["terminator"], cues, run_on | apart)
    extensions = extension_words(words, spans, book)
    places = [(span.start, span.end) for span in spans] + [(i, i + 1) for i in extensions]
    said = _without_change(
        asserted(words, clauses, cues, [Target(*place) for place in places], book.grammar),
        places,
        cues,
        words,
        book.grammar.denials,
    )
    near = landmarks(mentions, words, grammar)
    placing = [mention for mention in mentions if mention not in near] if near else mentions
    role = roles(words, book, placing, [(span.start, span.end) for span in spans])
    sentence = _Sentence(
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
        _head(span, said_of, sentence, attachment, book)
        for span, said_of in zip(spans, said[: len(spans)], strict=True)
    ]
    if extensions:
        told = said[len(spans) :]
        heads = with_extensions(heads, extensions, told, everywhere, words, book)
    if len(sides) > 1:
        heads = [one for head in heads for one in _by_side(head, sentence, book)]
    if sides and len(heads) > 1:
        heads = with_sides_of_company(heads, words, role, book)
    return _summed(tuple(heads), words, mentions, sentence.clauses, book, outside, sides=sides)


def _without_changes(
    spans: list[HeadSpan], changes: Sequence[Match], words: Sequence[str]
) -> list[HeadSpan]:
    """Heads but for words that only say how the finding right before them changed.

    "Effusion increased, heart size normal": the heart is not increased in size.
    """
    ends = {span.end for span in spans if span.kind != "normal"}
    told = {
        i
        for m in changes
        if not words[m.end - 1].isalnum() and m.start in ends
        for i in range(m.start, m.end)
    }
    return [span for span in spans if span.kind == "finding" or span.start not in told]


@dataclass(slots=True)
class _Sentence:
    words: tuple[str, ...]
    clauses: tuple[int, ...]
    roles: tuple[int, ...]
    mentions: tuple[AnatomyMention, ...]
    spans: tuple[HeadSpan, ...]
    sides: tuple[tuple[int, int, Side], ...]
    severities: tuple[Match, ...]
    changes: tuple[Match, ...]
    counts: tuple[Match, ...]
    runs_on: bool
    """Whether a statement begins in it without any mark."""
    refers: bool
    """Whether a side of it is that of something told before ("contralateral")."""


def assert_target(text: str, start: int, end: int, book: Phrasebook, engine: AnyEngine) -> Status:
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


def _head(
    span: HeadSpan,
    said_of: Asserted,
    sentence: _Sentence,
    attachment: Attachment,
    book: Phrasebook,
) -> Head:
    words = span.stands_for or " ".join(sentence.words[span.start : span.end])
    about, terms = meant(span, words, attachment, book)
    kind = span.kind
    if (
        words in book.alone
        and not terms
        and (
            (sentence.mentions and book.anywhere(words))
            or _of_other_statements(span, about, sentence)
        )
    ):
        # The organs of other statements tell nothing of this one.
        kind, about = "finding", ()
        terms = tuple((term, book.terms[term].anatomy) for term in book.alone[words])
    elsewhere = said_of.status == "absent" and _sides_come_after(span, sentence)
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
        if not sentence.refers:
            told = told or side_before(span.start, sentence.sides, roles)
    change: Change | None = None
    if sentence.changes:
        change = change_of(place, sentence.changes, roles, clauses)  # type: ignore[assignment]
    if said_of.status == "historical" and _goes_on(span, said_of, change, sentence, book):
        said_of = Asserted("present", doubts=said_of.doubts)
    status = said_of.status
    of_organ = joined([mention.side for mention in about]) if about else None
    return Head(
        start=span.start,
        end=span.end,
        kind=kind,
        status=status,
        findings=tuple(
            [
                (
                    term,
                    anatomy,
                    (told or side_at(about, _sites_of(term, anatomy, book)) or said)
                    if told or of_organ
                    else said,
                )
                for term, anatomy in dict.fromkeys(terms)
            ]
        ),
        sites=tuple(dict.fromkeys([site for mention in about for site in mention.sites])),
        observation=words if span.observation or span.kind == "observation" else "",
        side=told or of_organ or said,
        severity=(
            severity_of(place, sentence.severities, roles, clauses) if sentence.severities else None
        ),
        count=count_of(place, sentence.counts, roles, clauses) if sentence.counts else None,
        # What is held possible ("lesion in the liver, likely a cyst") names the head before it.
        location=_location(
            about if status == "uncertain" else _own(about, place, sentence),
            sentence,
            book.grammar,
        )
        if about
        else None,
        change=change,
        abnormal=span.abnormal,
        elsewhere=elsewhere,
        rule=said_of.rule,
        cue=said_of.cue,
        kind_of=(
            kinds_named(span, sentence.words, book) if status == "absent" else frozenset[str]()
        ),
        doubts=said_of.doubts + _doubts(said_of, change, sentence)
        if sentence.changes or sentence.runs_on
        else said_of.doubts,
    )


def _goes_on(
    span: HeadSpan, said: Asserted, change: Change | None, sentence: _Sentence, book: Phrasebook
) -> bool:
    """Whether what was there before still is: "seen in the previous examination, regressed"."""
    if said.cue is None or said.cue[0] < span.end:
        return False
    behind = said.cue[1]
    if change in _LASTING and VERB in sentence.roles[behind : behind + 2]:
        return True
    # "measuring 9 mm in the previous examination is 6 mm in the current one"
    clause = sentence.clauses[span.start]
    told = zip(
        sentence.words[behind:], sentence.roles[behind:], sentence.clauses[behind:], strict=True
    )
    here = [(word, role) for word, role, one in told if one == clause]
    verb = next((word for word, role in here if role == VERB), None)
    if verb is not None and verb in book.grammar.now:
        return True
    # "was 5 mm in the previous examination and 8 mm in the current examination"
    return any(word in book.grammar.today for word, _ in here)


def _of_other_statements(
    span: HeadSpan, about: Sequence[AnatomyMention], sentence: _Sentence
) -> bool:
    """Whether a sentence names anatomies, and none in the statement of a head."""
    clause = sentence.clauses[span.start]
    if not about:
        return bool(sentence.mentions)
    return all(sentence.clauses[mention.start] != clause for mention in about)


def _sites_of(term: str, anatomy: str, book: Phrasebook) -> tuple[str, ...]:
    """Where a finding lies whose side is asked."""
    entry = book.terms[term]
    return (anatomy,) if entry.at_site else (anatomy, *entry.sites)


def _doubts(said: Asserted, change: Change | None, sentence: _Sentence) -> tuple[Doubt, ...]:
    """What of its sentence makes the status of a head doubtful, beside the cues."""
    made: tuple[Doubt, ...] = ("no_full_stop",) if sentence.runs_on else ()
    if change == "resolved" and said.status == "present":
        return (*made, "said_resolved")
    return (*made, "about_change") if sentence.changes and said.status != "present" else made


def _by_side(head: Head, sentence: _Sentence, book: Phrasebook) -> tuple[Head, ...]:
    """A mention a side: "moderate right and small left effusions" are two, of their own degree."""
    sides = sentence.sides
    answers = (
        side_answers(head.end, sides, sentence.words, book) if len(sentence.spans) == 1 else ()
    )
    if answers:
        return tuple(_answered(head, answer, sentence) for answer in answers)
    changes = _changes_by_side(head, sentence)
    if changes:
        return changes
    if not head.findings:
        return (head,)
    pair = sides_in_turn(head.start, sides, sentence.words, sentence.roles, book)
    if pair is None:
        return (head,)
    roles, clauses = sentence.roles, sentence.clauses
    made = []
    second = pair[1][0]
    for first, side in pair:
        place = (first, head.end)
        own = [m for m in sentence.severities if (m.start > pair[0][0]) == (first == second)]
        made.append(
            replace(
                head,
                start=first,
                findings=tuple((term, anatomy, side) for term, anatomy, _ in head.findings),
                side=side,
                severity=severity_of(place, own, roles, clauses),
            )
        )
    return tuple(made)


def _changes_by_side(head: Head, sentence: _Sentence) -> tuple[Head, ...]:
    """A mention a side where the only finding of a sentence changed in two ways; else none."""
    told = changes_by_side(head.end, sentence.sides, sentence.changes, sentence.roles)
    others = [
        span
        for span in sentence.spans
        if span.start != head.start
        # "increased" is told of something by itself, too
        and not any(m.start <= span.start and span.end <= m.end for m in sentence.changes)
    ]
    gone = head.status == "absent" and any(change == "resolved" for _, change in told)
    if others or not (gone or head.status == "present"):
        return ()
    return tuple(
        replace(
            head,
            findings=tuple((term, anatomy, side) for term, anatomy, _ in head.findings),
            side=side,
            change=change,
            status="absent" if change == "resolved" else "present",
        )
        for side, change in told
    )


def _answered(head: Head, answer: SideAnswer, sentence: _Sentence) -> Head:
    """What a field says of one side."""
    start, end, side, denied = answer
    own = [m for m in sentence.severities if start <= m.start < end]
    return replace(
        head,
        status="absent" if denied else "present",
        rule="cue" if denied else "stated",
        cue=(start, end) if denied else None,
        findings=tuple((term, anatomy, side) for term, anatomy, _ in head.findings),
        side=side,
        severity=own[0].phrase.severity if own else None,  # type: ignore[arg-type]
    )


def _sides_come_after(span: HeadSpan, sentence: _Sentence) -> bool:
    """Whether only later clauses tell a side: "no nodule except one in the left upper lobe"."""
    clause = sentence.clauses[span.start]
    if clause == sentence.clauses[-1] == 0:
        return False
    sided = [sentence.clauses[m.start] for m in sentence.mentions if m.side]
    return bool(sided) and min(sided) > clause


def _told_elsewhere(
    span: HeadSpan, about: Sequence[AnatomyMention], sentence: _Sentence
) -> Side | None:
    """Side in a clause that leaves its organ out ("the right kidney is normal, the left has")."""
    clause = sentence.clauses[span.start]
    if not about or not sentence.sides or any(sentence.clauses[m.start] == clause for m in about):
        return None
    return joined([side for start, _, side in sentence.sides if sentence.clauses[start] == clause])


def _own(
    about: Sequence[AnatomyMention], place: tuple[int, int], sentence: _Sentence
) -> tuple[AnatomyMention, ...]:
    """Mentions that are no neighbour's place: "atelectasis in the lingula, effusion"."""
    return tuple(
        [
            mention
            for mention in about
            if mention.end > place[0] or not _of_another_head(mention, place[0], sentence)
        ]
    )


def _of_another_head(mention: AnatomyMention, start: int, sentence: _Sentence) -> bool:
    """Whether a mention before a head is where another head lies, behind which it stands."""
    clause = sentence.clauses[mention.start]
    before = [
        one
        for one in sentence.spans
        if one.end <= mention.start and sentence.clauses[one.start] == clause
    ]
    if not before or before[-1].kind == "normal":
        return False
    between = sentence.roles[before[-1].end : mention.start]
    return (
        (PREPOSITION in between or OF in between)
        and VERB not in between
        and JOINT in sentence.roles[mention.end : start]
    )


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
    starting = [m for m in sentence.mentions if m.start == span.start and m.end < span.end]
    if not starting:
        return ()
    first = starting[0]
    tail = " ".join(sentence.words[first.end : span.end])
    listed = attachment.listed_before(first)
    return observed(tail, [site for mention in listed for site in mention.sites], book)


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
