"""Statements without a verb that commas string together: "no PE, emphysema stable, spleen 15 cm".

A comma alone goes on with a list, and with it the denial before it. Where both sides say something
of a subject of their own, it ends a statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.clauses import opening, parentheses
from fvlm_data.reports.language.function_words import OTHER
from fvlm_data.reports.language.tokens import NUMBER, OTHER_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrase_matching import CueMatch, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side

FINDINGS = ("finding", "observation")
"""Kinds of heads that name something found."""

_COMMAS = frozenset({",", ";"})
_DASHES = ("-", OTHER_MARK)
"""Marks that part no items of a list."""
_SLASHES = ("+", "/")
_SEVERAL = 2

_DESCRIBED = "described"
_BARE = ("bare", "verdict")
"""What parts tell that hold nothing but an observation, a verdict or a change."""

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
    ends: bool
    """Whether a semicolon ends it."""
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


def verbless_starts(said: Said, book: Phrasebook) -> set[int]:
    """Marks behind which a statement begins that tells something of a subject of its own."""
    words = said.words
    if not said.heads or len(said.heads) + len(said.mentions) < _SEVERAL:
        return set()
    stops = _stops(words)
    if not stops:
        return set()
    starts: set[int] = set()
    parts = _merged(_parts(said, stops, book), words)
    denied = repeated = False
    for number in range(1, len(parts)):
        before, after = parts[number - 1], parts[number]
        place = after.start - 1
        # "no A, no B, C": each denial has a word of its own
        repeated = before.denies and (repeated or denied)
        denied = denied or before.denies
        if words[place] == ";":
            denied = repeated = False
        elif words[after.start] in book.prepositions:  # goes on: ", with a drain", ", in the liver"
            continue
        elif _begins(
            before,
            after,
            denied=denied and not _verb_behind(parts, number),
            closed=repeated
            or words[place] in _DASHES
            or (words[place] in _SLASHES and words[after.start] in book.openers)
            or _closed(parts, number),
        ) and not _goes_on(parts, number):
            starts.add(place)
            denied = repeated = False
    return starts


def _begins(before: _Part, after: _Part, *, denied: bool, closed: bool) -> bool:
    """Whether `after` is a statement of its own, and no further item of what `before` lists.

    `denied`: a denial before it would reach it as an item. `closed`: the list of what is denied
    has ended before it.
    """
    if not (before.subject and after.subject):
        return False
    if before.finding and after.predicated:  # "no ascites, the liver is enlarged"
        return True
    if after.told == "doubt":  # "consolidation, pneumonia cannot be excluded"
        return before.finding and not denied
    verbless = not (before.verb or after.verb)
    tells = before.told or before.lasting or (before.placed and verbless)
    if tells and (after.told or after.lasting):
        return True
    # a verdict or a size of an organ is none of what was found before it
    if after.told == "normal" and not after.verb:
        return True
    if after.organ and after.told == "size" and not after.finding:
        return True
    # a denial at the end of a list is one of all its items: "effusion, pneumothorax not seen"
    if denied and (
        closed
        or (after.told and after.told != "denial")
        or after.lasting
        or (after.sided and not before.sided)
        or (after.placed and not before.placed)
    ):
        return True
    if (before.sided or before.placed) and (after.sided or after.placed) and verbless:
        return True
    # "RV normal, trace right effusion"; "NG tip in stomach, stomach decompressed"
    if verbless and before.told == "normal" and after.finding:
        return True
    if verbless and after.told == "other" and before.finding:
        return True
    # "Erguss rechts, links kein Erguss"; "Zyste rechts 2 cm, Stein links"
    if before.sided_behind and (
        after.begins_with_side or (after.sided_behind and before.finding and after.finding)
    ):
        return True
    if denied and after.begins_with_side and after.finding:  # "kein Erguss, rechts Infiltrate"
        return True
    # "nodule 6 mm, no pneumothorax"; "portal vein 16 mm, moderate ascites"
    if verbless and after.opens:
        return True
    measured = before.told == "size"
    return measured and (after.denies or (not before.finding and after.finding))


def _closed(parts: Sequence[_Part], number: int) -> bool:
    """Whether a list of denials has ended before a part.

    It has behind its "or", and where the part behind has a denial of its own: "no PE,
    cardiomegaly, no effusion".
    """
    before, after = parts[number - 1], parts[number]
    if before.listed and before.denies and not after.listed:
        return True
    return not after.denies and number + 1 < len(parts) and parts[number + 1].denies


def _goes_on(parts: Sequence[_Part], number: int) -> bool:
    """Whether a list goes on from a part to its "or" before anything else is told."""
    for part in parts[number:]:
        if part.listed:
            return not part.denies or part.alternative
        # "new bowel obstruction" may be an item
        if part.denies or part.verb or (part.told and part.told != _DESCRIBED):
            return False
    return False


def _verb_behind(parts: Sequence[_Part], number: int) -> bool:
    """Whether a verb follows that may be one of all items before it: "no A, B is seen"."""
    for part in parts[number:]:
        if part.verb:
            return not part.denies and part.told != "denial"
        if part.denies or part.ends:
            return False
    return False


def _merged(parts: Iterable[_Part], words: Sequence[str]) -> list[_Part]:
    """Parts, those that only go on about the one before joined to it: "liver 20 cm, enlarged"."""
    made: list[_Part] = []
    for part in parts:
        last = made[-1] if made else None
        joined = last is not None and words[part.start - 1] == "," and last.subject
        sized = not part.subject and part.told == "size"
        described = part.told == "verdict" or (
            part.told == "bare" and last is not None and last.organ and not last.finding
        )
        if last is not None and joined and (sized or described):
            told = "size" if sized else _DESCRIBED
            if sized and last.organ and not last.finding and _names_only(made[:-1]):
                told = ""  # "nodule, left upper lobe, 17 mm"
            made[-1] = last._replace(end=part.end, told=told)
        else:
            made.append(part._replace(told="" if part.told in _BARE else part.told))
    return made


def _names_only(parts: Sequence[_Part]) -> bool:
    """Whether the last of parts names a finding, and nothing tells where it lies."""
    return bool(parts) and parts[-1].finding and not (parts[-1].organ or parts[-1].told)


def _stops(words: Sequence[str]) -> list[int]:
    """Marks that may part statements: commas and semicolons, other marks where several do so.

    "No PE - small effusion - liver normal", and so with slashes where there is no other mark.
    """
    marks = ",;-"
    if _COMMAS.isdisjoint(words):
        inner = words[:-1]
        marks = next((mark for mark in _DASHES if mark in inner), "")
        marks = marks or next((mark for mark in _SLASHES if inner.count(mark) >= _SEVERAL), "")
    if not marks:
        return []
    within = parentheses(words)
    return [i for i, word in enumerate(words) if word in marks and not within[i]]


def _parts(said: Said, stops: Sequence[int], book: Phrasebook) -> Iterator[_Part]:
    words = said.words
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
    return _Part(
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
        sided_behind=book.grammar.verb_last
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
            [(one.start, one.end) for one in organs]
            or [side[:2] for side in said.sides if start <= side[0] < end],
            found,
            end,
            book,
        ),
    )


def _predicated(
    words: Sequence[str],
    subjects: Sequence[tuple[int, int]],
    found: Sequence[HeadSpan],
    end: int,
    book: Phrasebook,
) -> bool:
    """Whether an organ or a side, a verb and what is found follow each other before a token."""
    if not subjects or not found:
        return False
    first, past = subjects[0]
    verb = next((i for i in range(past, end) if words[i] in book.predicates), end)
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
                return _DESCRIBED
        if head.start == start and head.kind != "finding" and not organs:
            return "verdict" if head.kind == "normal" else "bare"
    if _opens_described(said, start, heads, organs):
        return _DESCRIBED
    # "lungs with nodules"
    company = [i for i in range(start, end) if words[i] in book.grammar.company]
    return (
        _DESCRIBED
        if any(
            any(one.end <= i for one in organs)
            and any(i < head.start and head.kind in FINDINGS for head in heads)
            for i in company
        )
        else ""
    )


def _opens_described(
    said: Said, start: int, heads: Sequence[HeadSpan], organs: Sequence[AnatomyMention]
) -> bool:
    """Whether a part begins with an organ and how it is: "pleura thickened at the apex"."""
    return any(
        one.start == start and one.end == head.start and head.observation
        for one in organs
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
