"""Statements without a verb that commas string together: "no PE, emphysema stable, spleen 15 cm".

A comma alone goes on with a list, and with it the denial before it. Where both sides say something
of a subject of their own, it ends a statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.clauses import alternative_follows, parentheses
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrase_matching import CueMatch, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side

FINDINGS = ("finding", "observation")
"""Kinds of heads that name something found."""

ANSWERING = frozenset({":", "-", "=", "?"})
"""Marks before an answer."""


class Said(NamedTuple):
    """What was found in a sentence, all in order."""

    words: Sequence[str]
    heads: Sequence[HeadSpan]
    mentions: Sequence[AnatomyMention]
    cues: Sequence[CueMatch]
    degrees: Sequence[Match]
    """Changes and severities."""
    sides: Sequence[tuple[int, int, Side]]


class _Part(NamedTuple):
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
    listed: bool
    """Whether "or" and the like make it part of a list."""
    verb: bool
    sided: bool
    """Whether a side stands before its finding ("right pleural effusion")."""
    begins_with_side: bool
    sided_behind: bool
    """Of languages in which sides stand behind what they are told of."""
    lasting: bool
    """Whether it tells where an implant or the like is, or that an organ is gone."""


def verbless_starts(said: Said, book: Phrasebook) -> set[int]:
    """Commas behind which a statement begins that tells something of a subject of its own."""
    words = said.words
    if "," not in words or not said.heads or len(said.heads) + len(said.mentions) < 2:
        return set()
    starts: set[int] = set()
    denied = False
    parts = _merged(_parts(said, book), words)
    for before, after, behind in zip(parts, parts[1:], [*parts[2:], None], strict=False):
        place = after.start - 1
        denied = denied or before.denies
        if words[place] != ",":
            denied = False
        elif words[after.start] in book.prepositions:  # goes on: ", with a drain", ", in the liver"
            continue
        elif _begins(
            before, after, behind, denied=denied and not _verb_behind(words, place, book)
        ) and (not alternative_follows(words, after.start, len(words), book)):
            starts.add(place)
            denied = False
    return starts


def _begins(before: _Part, after: _Part, behind: _Part | None, *, denied: bool) -> bool:
    """Whether `after` is a statement of its own, and no further item of what `before` lists.

    `denied`: a denial before it would reach it as an item.
    """
    if not (before.subject and after.subject) or after.listed or before.listed:
        return False
    if after.told == "doubt":  # "consolidation, pneumonia cannot be excluded"
        return before.finding and not denied
    if after.told and before.told:
        return True
    verbless = not (before.verb or after.verb)
    if after.organ and (
        # a verdict or a size of an organ is none of what was found before it
        (after.told == "normal" and not after.verb) or (after.told == "size" and not after.finding)
    ):
        return True
    # a denial at the end of a list is one of all its items: "effusion, pneumothorax not seen"
    if denied and (
        (after.told and after.told != "denial")
        or after.lasting
        or (after.sided and not before.sided)
        # "no PE, cardiomegaly, no effusion": each denial has a word of its own
        or (behind is not None and behind.denies and not after.denies)
    ):
        return True
    if before.sided and after.sided and before.finding and after.finding and verbless:
        return True
    # "Erguss rechts, links kein Erguss"; "Zyste rechts 2 cm, Stein links"
    if before.sided_behind and (
        after.begins_with_side or (after.sided_behind and before.finding and after.finding)
    ):
        return True
    if denied and after.begins_with_side and after.finding:  # "kein Erguss, rechts Infiltrate"
        return True
    # "nodule 6 mm, no pneumothorax"; "portal vein 16 mm, moderate ascites"
    measured = before.told == "size"
    return measured and (after.denies or (not before.finding and after.finding))


def _verb_behind(words: Sequence[str], place: int, book: Phrasebook) -> bool:
    """Whether a verb follows, which may be that of all items before it."""
    for word in words[place:]:
        if word == ";":
            return False
        if word in book.predicates:
            return True
    return False


def _merged(parts: Iterable[_Part], words: Sequence[str]) -> list[_Part]:
    """Parts, those that only go on about the one before joined to it: "liver 20 cm, enlarged"."""
    made: list[_Part] = []
    for part in parts:
        last = made[-1] if made else None
        joined = last is not None and words[part.start - 1] == "," and last.subject
        sized = not part.subject and part.told == "size"
        described = part.told == "bare" and last is not None and last.organ and not last.finding
        if last is not None and joined and (sized or described):
            told = "size" if sized else "described"
            made[-1] = last._replace(end=part.end, told=told)
        else:
            made.append(part._replace(told="" if part.told == "bare" else part.told))
    return made


def _parts(said: Said, book: Phrasebook) -> Iterator[_Part]:
    words = said.words
    within = parentheses(words)
    stops = [i for i, word in enumerate(words) if word in (",", ";") and not within[i]]
    start = 0
    for end in (*stops, len(words)):
        if end > start:
            yield _part(said, start, end, book)
        start = end + 1


def _part(said: Said, start: int, end: int, book: Phrasebook) -> _Part:
    words = said.words
    last = next((i for i in range(end, start, -1) if words[i - 1].isalnum()), end)
    heads = [head for head in said.heads if start <= head.start < end]
    found = [head for head in heads if head.kind in FINDINGS]
    organs = [one for one in said.mentions if start <= one.start < end]
    named_heads = [head for head in heads if head.kind != "normal"]
    named = [head.start for head in named_heads]
    subjects = [*named, *(one.start for one in organs)]
    placed = [side[0] for side in said.sides if start <= side[0] < end]
    placed += [one.start for one in organs if one.side]  # a lobe tells its side
    return _Part(
        start,
        end,
        subject=bool(subjects),
        finding=bool(found),
        organ=bool(organs),
        told=_told(said, start, last, heads, organs, subjects, book),
        denies=any(
            start <= cue.start < end
            and cue.cue.category == "absent"
            and cue.cue.direction == "forward"
            for cue in said.cues
        ),
        listed=not book.grammar.alternatives.isdisjoint(words[start:end]),
        verb=not book.predicates.isdisjoint(words[start:end]),
        sided=any(place < head.start for place in placed for head in found),
        begins_with_side=book.grammar.verb_last and any(s[0] == start for s in said.sides),
        sided_behind=book.grammar.verb_last
        and any(head.end <= side[0] < end for head in named_heads for side in said.sides),
        lasting=any(
            any(book.terms[term].lasting for term in head.terms)
            and (
                last - start > head.end - head.start
                or any(head.start <= one.start and one.end < head.end for one in organs)
            )
            for head in found
        ),
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
    if _measured(words, first if subjects else start, end, book):
        return "size"
    for cue in said.cues:
        if cue.end != end or not subjects or first >= cue.start:
            continue
        if cue.cue.direction == "backward" and cue.cue.category == "absent":
            return "denial"
        if cue.cue.direction == "backward" and cue.cue.category == "uncertain":
            return "doubt"
        if cue.cue.direction == "pseudo" and words[cue.start] in ANSWERING:
            return "affirmed"
    for head in heads:
        if head.end != end:
            continue
        if any(one.end <= head.start for one in organs):
            if head.kind == "normal":
                return "normal"
            if head.abnormal or head.observation:
                return "described"
        if head.start == start and head.kind != "finding" and not organs:
            return "bare"
    # "lungs with nodules"
    company = [i for i in range(start, end) if words[i] in book.grammar.company]
    return (
        "described"
        if any(
            any(one.end <= i for one in organs)
            and any(i < head.start and head.kind in FINDINGS for head in heads)
            for i in company
        )
        else ""
    )


def _measured(words: Sequence[str], start: int, end: int, book: Phrasebook) -> bool:
    """Whether a size or distance is told, and no bound ("larger than 1 cm")."""
    return any(
        words[i] == NUMBER
        and words[i + 1] in book.grammar.units
        and words[i - 1] not in book.grammar.bounds
        for i in range(start + 1, end - 1)
    )
