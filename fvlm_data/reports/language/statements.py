"""Statements without a verb that commas string together: "no PE, emphysema stable, spleen 15 cm".

A comma alone goes on with a list, and with it the denial before it. Where both sides say something
of a subject of their own, it ends a statement.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.clauses import alternative_follows, parentheses
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrase_matching import CueMatch, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook


FINDINGS = ("finding", "observation")
"""Kinds of heads that name something found."""


ANSWERING = frozenset({":", "-", "=", "?"})
"""Marks before an answer."""


class _Part(NamedTuple):
    """Tokens between two commas: whether it names a finding or an organ, and what ends it.

    `told` is degree (of change or severity), size, normal, described, affirmed or denial, blank
    where nothing is told at its end.
    """

    start: int
    end: int
    finding: bool
    organ: bool
    told: str
    denies: bool
    """Whether a denial within it reaches forward."""
    listed: bool
    """Whether "or" and the like make it part of a list."""
    verb: bool


def verbless_starts(
    words: Sequence[str],
    heads: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    cues: Sequence[CueMatch],
    degrees: Sequence[Match],
    book: Phrasebook,
) -> set[int]:
    """Commas behind which a statement begins that tells something of a subject of its own."""
    if "," not in words or not heads or len(heads) + len(mentions) < 2:
        return set()
    starts: set[int] = set()
    denied = False
    for before, after in pairwise(_parts(words, heads, mentions, cues, degrees, book)):
        place = after.start - 1
        denied = denied or before.denies
        if words[place] != ",":
            denied = False
        elif _begins(before, after, denied=denied) and not alternative_follows(
            words, after.start, len(words), book
        ):
            starts.add(place)
            denied = False
    return starts


def _begins(before: _Part, after: _Part, *, denied: bool) -> bool:
    """Whether `after` is a statement of its own, and no further item of what `before` lists.

    `denied`: a denial before it would reach it as an item.
    """
    subjects = (before.finding or before.organ) and (after.finding or after.organ)
    if not subjects or after.listed or before.listed:
        return False
    if after.told:
        # a denial at the end of a list is one of all its items: "effusion, pneumothorax not seen"
        if before.told or (after.organ and after.told == "normal" and not after.verb):
            return True
        return denied and after.told != "denial"
    # "nodule 6 mm, no pneumothorax"; "portal vein 16 mm, moderate ascites"
    measured = before.told == "size"
    return measured and (after.denies or (not before.finding and after.finding))


def _parts(
    words: Sequence[str],
    heads: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    cues: Sequence[CueMatch],
    degrees: Sequence[Match],
    book: Phrasebook,
) -> Iterator[_Part]:
    within = parentheses(words)
    stops = [i for i, word in enumerate(words) if word in (",", ";") and not within[i]]
    start = 0
    for end in (*stops, len(words)):
        if end > start:
            last = next((i for i in range(end, start, -1) if words[i - 1].isalnum()), end)
            told = _told(words, start, last, heads, mentions, cues, degrees, book)
            yield _Part(
                start,
                end,
                finding=any(start <= h.start < end and h.kind in FINDINGS for h in heads),
                organ=any(start <= m.start < end for m in mentions),
                told=told,
                denies=any(
                    start <= cue.start < end
                    and cue.cue.category == "absent"
                    and cue.cue.direction == "forward"
                    for cue in cues
                ),
                listed=not book.grammar.alternatives.isdisjoint(words[start:end]),
                verb=not book.predicates.isdisjoint(words[start:end]),
            )
        start = end + 1


def _told(
    words: Sequence[str],
    start: int,
    end: int,
    heads: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    cues: Sequence[CueMatch],
    degrees: Sequence[Match],
    book: Phrasebook,
) -> str:
    """What the end of a part tells of what stands before it in the part."""
    subjects = _subjects(start, end, heads, mentions)
    ended = {match.start for match in degrees if match.end == end}
    if any(min(subjects, default=end) < place for place in ended):
        return "degree"
    if subjects and _measured(words, min(subjects), end, book):
        return "size"
    for cue in cues:
        if cue.end != end or not subjects or min(subjects) >= cue.start:
            continue
        if cue.cue.category == "absent" and cue.cue.direction == "backward":
            return "denial"
        if cue.cue.direction == "pseudo" and words[cue.start] in ANSWERING:
            return "affirmed"
    for head in heads:
        if head.end == end and any(start <= m.start and m.end <= head.start for m in mentions):
            if head.kind == "normal":
                return "normal"
            if head.abnormal or head.observation:
                return "described"
    # "lungs with nodules"
    for i in range(start, end):
        if (
            words[i] in book.grammar.company
            and any(start <= m.start and m.end <= i for m in mentions)
            and any(i < head.start < end and head.kind in FINDINGS for head in heads)
        ):
            return "described"
    return ""


def _measured(words: Sequence[str], start: int, end: int, book: Phrasebook) -> bool:
    """Whether a size or distance is told, and no bound ("larger than 1 cm")."""
    return any(
        words[i] == NUMBER
        and words[i + 1] in book.grammar.units
        and words[i - 1] not in book.grammar.bounds
        for i in range(start + 1, end - 1)
    )


def _subjects(
    start: int, end: int, heads: Sequence[HeadSpan], mentions: Sequence[AnatomyMention]
) -> Collection[int]:
    named = [head.start for head in heads if head.kind != "normal"]
    return [place for place in (*named, *(m.start for m in mentions)) if start <= place < end]
