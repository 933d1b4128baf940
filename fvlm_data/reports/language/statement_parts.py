"""What stands between two commas: its subject, what it tells of it, what it denies."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.clauses import opening
from fvlm_data.reports.language.function_words import OTHER
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrase_matching import CueMatch, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side

FINDINGS = ("finding", "observation")
"""Kinds of heads that name something found."""

DESCRIBED = "described"
BARE = ("bare", "verdict")
"""What parts tell that hold nothing but an observation, a verdict or a change."""

ANSWERING = frozenset({":", "-", "=", "?", "+"})
"""Marks before an answer."""


_QUALIFYING = frozenset({"historical", "uncertain"})


class Said(NamedTuple):
    """What was found in a sentence, all in order."""

    words: Sequence[str]
    heads: Sequence[HeadSpan]
    mentions: Sequence[AnatomyMention]
    cues: Sequence[CueMatch]
    degrees: Sequence[Match]
    """Changes and severities."""
    sides: Sequence[tuple[int, int, Side]]
    run_on: Collection[int] = ()
    """Tokens where a statement begins, whether a mark ends the one before or none."""


class Part(NamedTuple):
    """Tokens between two commas, and what they hold.

    `told` is what its end tells of its subject: degree (of change or severity), size, normal,
    described, affirmed, doubt or denial; blank where it tells nothing.
    """

    start: int
    end: int
    subject: bool
    finding: bool
    organ: bool
    told: str
    denies: bool
    """Whether a denial within it reaches forward."""
    ends: bool
    """Whether a semicolon ends it, or a statement behind it that begins without a mark."""
    opens: bool
    """Whether such a denial is its first word."""
    listed: bool
    """Whether "or" and the like make it part of a list."""
    alternative: bool
    """Whether it begins with such a word."""
    verb: bool
    sided: bool
    """Whether a side stands before its finding ("right pleural effusion")."""
    begins_with_side: bool
    sided_behind: bool
    """Of languages in which sides stand behind what they are told of."""
    placed: bool
    """Whether a place stands behind its finding ("septal lines at the bases")."""
    lasting: bool
    """Whether it tells where an implant or the like is, or that an organ is gone."""
    predicated: bool
    """Whether a verb tells what an organ has or is ("the liver is enlarged")."""
    qualified: bool
    """Whether it names what is past or held possible ("history of pneumonia")."""


def parts_of(said: Said, stops: Sequence[int], book: Phrasebook) -> Iterator[Part]:
    """The parts of a sentence between the tokens `stops`, in order."""
    words = said.words
    unmarked = {
        i
        for i in said.run_on
        if i - 1 not in stops and i not in stops and words[i] not in book.openers
    }
    start = 0
    for end in (*sorted({*stops, *unmarked}), len(words)):
        if end > start:
            part = _part(said, start, end, book)
            yield part._replace(ends=True) if end in unmarked else part
        start = end if end in unmarked else end + 1


def _part(said: Said, start: int, end: int, book: Phrasebook) -> Part:
    words = said.words
    light = book.grammar.today  # "RLL clear now"
    last = next(
        (i for i in range(end, start, -1) if words[i - 1].isalnum() and words[i - 1] not in light),
        end,
    )
    heads = [head for head in said.heads if start <= head.start < end]
    found = [head for head in heads if head.kind in FINDINGS]
    organs = [one for one in said.mentions if start <= one.start < end]
    denials = [
        cue.start
        for cue in said.cues
        if start <= cue.start < end
        and cue.cue.category == "absent"
        and cue.cue.direction == "forward"
    ]
    named_heads = [head for head in heads if head.kind != "normal"]
    named = [head.start for head in named_heads]
    subjects = [*named, *(one.start for one in organs)]
    if not subjects:
        subjects = _unknown(said, start, end, heads, denials)
    placed = [side[0] for side in said.sides if start <= side[0] < end]
    placed += [one.start for one in organs if one.side]  # a lobe tells its side
    more = organs and not heads and _more_said(words, organs[-1].end, end, book)
    other = "other" if more else ""
    if not subjects and any(start <= match.start < end for match in said.degrees):
        other = "verdict"  # "effusion, increased, heart normal"
    if not subjects and placed and words[last - 1] in book.grammar.denying_answers:
        other = "verdict"  # "right effusion, left none, pneumothorax resolved"
    return Part(
        start,
        end,
        subject=bool(subjects),
        finding=bool(found),
        organ=bool(organs),
        told=_told(said, start, last, heads, organs, subjects, book) or other,
        denies=bool(denials),
        ends=words[end : end + 1] == (";",),
        opens=start in denials,
        listed=not book.grammar.alternatives.isdisjoint(words[start:end]),
        alternative=words[start] in book.grammar.alternatives,
        verb=not book.predicates.isdisjoint(words[start:end]),
        sided=any(place < head.start for place in placed for head in found),
        begins_with_side=book.grammar.verb_last and any(s[0] == start for s in said.sides),
        sided_behind=book.grammar.sides_behind
        and any(head.end <= side[0] < end for head in named_heads for side in said.sides),
        placed=bool(found) and _placed_behind(said, found[-1].end, last, book),
        lasting=any(
            any(book.terms[term].lasting for term in head.terms)
            and (
                last - start > head.end - head.start
                or any(head.start <= one.start and one.end < head.end for one in organs)
            )
            for head in found
        ),
        predicated=not denials
        and _predicated(
            words,
            start,
            [(one.start, one.end) for one in organs]
            or [side[:2] for side in said.sides if start <= side[0] < end],
            found,
            end,
            book,
        ),
        qualified=words[start] in book.grammar.signs
        or any(
            start <= cue.start < end
            and cue.cue.category in _QUALIFYING
            and cue.cue.direction == "forward"
            for cue in said.cues
        ),
    )


def _predicated(
    words: Sequence[str],
    start: int,
    subjects: Sequence[tuple[int, int]],
    found: Sequence[HeadSpan],
    end: int,
    book: Phrasebook,
) -> bool:
    """Whether an organ or a side, a verb and what is found follow each other before a token.

    Behind a preposition the verb may stand last: "in the liver a cyst is seen".
    """
    if not subjects or not found:
        return False
    first, past = subjects[0]
    verb = next((i for i in range(past, end) if words[i] in book.predicates), end)
    if words[start] in book.grammar.within | book.grammar.beside:
        return first <= found[0].start and verb < end
    return found[-1].start > verb and not any(first <= head.start < verb for head in found)


def _unknown(
    said: Said, start: int, end: int, heads: Sequence[HeadSpan], denials: Sequence[int]
) -> list[int]:
    """Where a subject stands that is no known organ: "bed clear", "R normal", "no loosening"."""
    words = said.words
    sides = {side[0] for side in said.sides}
    for head in heads:
        before = head.start - 1
        if before >= start and (words[before] == OTHER or before in sides):
            return [before]
    return [start + 1] if start in denials and start + 1 < end else []


def _placed_behind(said: Said, start: int, end: int, book: Phrasebook) -> bool:
    """Whether a place is told in tokens [start, end)."""
    return any(start <= one.start < end for one in said.mentions) or not (
        (book.grammar.places | book.grammar.alongside).isdisjoint(said.words[start:end])
    )


def _told(
    said: Said,
    start: int,
    end: int,
    heads: Sequence[HeadSpan],
    organs: Sequence[AnatomyMention],
    subjects: Sequence[int],
    book: Phrasebook,
) -> str:
    """What the end of a part tells of what stands before it in the part."""
    words = said.words
    first = min(subjects, default=end)
    # a change may hold the comma that ends it
    if any(first < match.start and match.end in (end, end + 1) for match in said.degrees):
        return "degree"
    if subjects and not organs and any(h.kind == "normal" and h.end == end for h in heads):
        return "normal" if first < heads[0].start else ""
    if _measured(words, first if subjects else start, end, book):
        return "size"
    # "hemoperitoneum small": dictation puts the degree behind
    if words[end - 1] in opening(book) and any(
        head.kind in FINDINGS and head.end == end - 1 for head in heads
    ):
        return "degree"
    for cue in said.cues:
        if cue.end != end or not subjects or first >= cue.start:
            continue
        if cue.cue.direction != "forward" and cue.cue.category == "absent":
            return "denial"
        if cue.cue.direction == "backward" and cue.cue.category == "uncertain":
            return "doubt"
        if cue.cue.direction == "pseudo" and words[cue.start] in ANSWERING:
            return "affirmed"
    # "no effusion, gallstones present"
    if words[end - 1] in book.grammar.affirming_answers and any(
        head.kind in FINDINGS and head.end == end - 1 for head in heads
    ):
        return "affirmed"
    if heads and _bare_with_remark(words, start, end, heads[0], organs):
        return "bare"
    for head in heads:
        if head.end != end:
            continue
        if any(one.end <= head.start for one in organs):
            if head.kind == "normal":
                return "normal"
            if head.abnormal or head.observation:
                return DESCRIBED
        if head.start == start and head.kind != "finding" and not organs:
            return "verdict" if head.kind == "normal" else "bare"
    if _opens_described(said, start, heads, organs, book):
        return DESCRIBED
    # "lungs with nodules"
    company = [i for i in range(start, end) if words[i] in book.grammar.company]
    return (
        DESCRIBED
        if any(
            any(one.end <= i for one in organs)
            and any(i < head.start and head.kind in FINDINGS for head in heads)
            for i in company
        )
        else ""
    )


def _bare_with_remark(
    words: Sequence[str],
    start: int,
    end: int,
    first: HeadSpan,
    organs: Sequence[AnatomyMention],
) -> bool:
    """Whether a part is an observation and a remark in brackets: "dilated (double duct sign)"."""
    return (
        first.start == start
        and first.kind != "finding"
        and words[first.end : first.end + 1] == ("(",)
        and words[end : end + 1] == (")",)
        and not any(one.start < first.end for one in organs)
    )


def _opens_described(
    said: Said,
    start: int,
    heads: Sequence[HeadSpan],
    organs: Sequence[AnatomyMention],
    book: Phrasebook,
) -> bool:
    """Whether a part begins with an organ and how it is: "pleura thickened at the apex".

    Or with an organ and what is found there: "T7 old wedge fracture".
    """
    first = [one for one in organs if one.start == start]
    return any(
        (one.end == head.start and head.observation)
        or (one.end < head.start and said.words[one.end] in opening(book))
        for one in first
        for head in heads
    )


def _more_said(words: Sequence[str], start: int, end: int, book: Phrasebook) -> bool:
    """Whether more than its place is said behind an organ: "trachea central"."""
    told = [word for word in words[start:end] if word.isalnum() or word == OTHER]
    return bool(told) and not (
        told[-1] in book.grammar.places_and_numbers
        or told[-1] in book.conjunctions
        or told[-1] in book.prepositions
    )


def _measured(words: Sequence[str], start: int, end: int, book: Phrasebook) -> bool:
    """Whether a size or distance is told, and no bound ("larger than 1 cm")."""
    return any(
        words[i] == NUMBER
        and words[i + 1] in book.grammar.units
        and words[i - 1] not in book.grammar.bounds
        for i in range(start, end - 1)
    )
