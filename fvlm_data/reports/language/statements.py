"""Statements without a verb that commas string together: "no PE, emphysema stable, spleen 15 cm".

A comma alone goes on with a list, and with it the denial before it. Where both sides say something
of a subject of their own, it ends a statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.reports.language.clauses import parentheses
from fvlm_data.reports.language.joined import joined_starts, opens_doubt
from fvlm_data.reports.language.statement_parts import BARE, DESCRIBED, parts_of
from fvlm_data.reports.language.tokens import OTHER_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.statement_parts import Part, Said

_COMMAS = frozenset({",", ";"})
_DASHES = ("-", OTHER_MARK)
"""Marks that part no items of a list."""
_SLASHES = ("+", "/")
_SEVERAL = 2


def verbless_starts(said: Said, book: Phrasebook) -> set[int]:
    """Marks behind which a statement begins that tells something of a subject of its own."""
    words = said.words
    if not said.heads or len(said.heads) + len(said.mentions) < _SEVERAL:
        return set()
    joined = joined_starts(said, book)
    stops = _stops(said)
    if not stops:
        return joined
    starts = set(joined)
    parts = _merged(parts_of(said, sorted({*stops, *joined}), book), words)
    answered = _answered(parts, words, book)
    denied = repeated = False
    for number in range(1, len(parts)):
        before, after = parts[number - 1], parts[number]
        place = after.start - 1
        if place == before.end - 1 or place in joined:  # no mark parts them
            denied = repeated = False
            continue
        # "no A, no B, C": each denial has a word of its own
        repeated = before.denies and (repeated or denied)
        denied = denied or before.denies
        if words[place] == ";":
            denied = repeated = False
            continue
        # goes on: ", with a drain", ", in the liver", but not ", in the liver is a cyst"
        predicated = after.predicated or _subjects_of_a_verb(parts, number)
        if words[after.start] in book.prepositions and not predicated:
            continue
        closed = (
            repeated
            or words[place] in _DASHES
            or (words[place] in _SLASHES and words[after.start] in book.openers)
            or _closed(parts, number)
        )
        reached = denied and (closed or not _verb_behind(parts, number))
        if number in answered:
            if number - 1 not in answered and (before.subject or before.verb):
                starts.add(place)
                denied = repeated = False
            continue
        if denied and before.subject and opens_doubt(after.start, said, book):
            starts.add(place)
            denied = repeated = False
            continue
        if _apart(before, after, words, book) or (
            _begins(before, after._replace(predicated=predicated), denied=reached, closed=closed)
            and not _goes_on(parts, number)
        ):
            starts.add(place)
            denied = repeated = False
    return starts


def _apart(before: Part, after: Part, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether both are sentences: "no PE - a nodule is seen", "A is seen - B is not".

    Behind a comma the second has to open something new: "possible pneumonia, a nodule is seen".
    """
    if not (before.subject and after.finding):
        return False
    opens = words[after.start] in book.openers | book.grammar.articles
    if words[after.start - 1] in _DASHES:
        denied = "denial" in (before.told, after.told) and before.told != after.told
        return opens or denied or (before.verb and after.verb)
    return opens and after.verb and not after.denies and not after.listed


def _answered(parts: Sequence[Part], words: Sequence[str], book: Phrasebook) -> set[int]:
    """Numbers of the parts of a list that one answer denies: "nodules, effusion: none"."""
    made: set[int] = set()
    for last, part in enumerate(parts):
        if part.told != "denial" or ":" not in words[part.start : part.end]:
            continue
        before = parts[last - 1] if last else None
        joint = words[part.start] in book.grammar.joints
        marked = words[part.start - 1] in _COMMAS
        if before is not None and marked and (not joint or before.verb or before.told):
            made.add(last)
        first = last
        while first > 0 and _named_only(parts[first - 1], words, book):
            first -= 1
        if first < last:
            made.update(range(first, last + 1))
    return made


def _named_only(part: Part, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether a part names something, and a list goes on behind it."""
    return (
        words[part.end] == ","
        and not (part.told or part.verb or part.denies or part.qualified or part.lasting)
        and not (part.placed or part.sided or part.listed)
        and words[part.start] not in book.openers
        and ":" not in words[part.start : part.end]
    )


def _subjects_of_a_verb(parts: Sequence[Part], number: int) -> bool:
    """Whether a part begins a list of organs of which a verb tells: "the liver, the heart are"."""
    for part in parts[number:]:
        if part.predicated:
            return True
        if not part.organ or part.finding or part.told or part.verb or part.denies or part.ends:
            return False
    return False


def _begins(before: Part, after: Part, *, denied: bool, closed: bool) -> bool:
    """Whether `after` is a statement of its own, and no further item of what `before` lists.

    `denied`: a denial before it would reach it as an item. `closed`: the list of what is denied
    has ended before it.
    """
    if not (before.subject and after.subject):
        return False
    if before.finding and after.predicated:  # "no ascites, the liver is enlarged"
        return True
    # "history of pneumonia, an effusion is seen"; "possible pneumonia, ascites is absent"
    if before.qualified and after.finding and after.verb and not (after.listed or after.qualified):
        return True
    if after.told == "affirmed" and before.finding and before.denies:
        return True
    # "effusions are seen, ascites resolved"
    apart = after.told in ("degree", "denial") and after.finding and not after.listed
    if apart and before.finding and before.verb and not before.denies:
        return True
    # "no right effusion, left effusion is seen"
    two_sides = before.sided and after.sided and after.verb and before.denies
    if two_sides and after.finding and not after.listed and after.told != "denial":
        return True
    # what is said to have changed is there: "no effusion, nodule is unchanged"
    if before.finding and after.finding and after.told == "degree" and after.verb:
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


def _closed(parts: Sequence[Part], number: int) -> bool:
    """Whether a list of denials has ended before a part.

    It has behind its "or", and where the part behind has a denial of its own: "no PE,
    cardiomegaly, no effusion".
    """
    before, after = parts[number - 1], parts[number]
    if before.listed and before.denies and not after.listed:
        return True
    return not after.denies and number + 1 < len(parts) and parts[number + 1].denies


def _goes_on(parts: Sequence[Part], number: int) -> bool:
    """Whether a list goes on from a part to its "or" before anything else is told."""
    for part in parts[number:]:
        if part.listed:
            return not part.denies or part.alternative
        # "new bowel obstruction" may be an item
        if part.denies or part.verb or part.ends or (part.told and part.told != DESCRIBED):
            return False
    return False


def _verb_behind(parts: Sequence[Part], number: int) -> bool:
    """Whether a verb follows that may be one of all items before it: "no A, B is seen"."""
    for part in parts[number:]:
        if part.verb:
            return not part.denies and part.told not in ("denial", "affirmed")
        if part.denies or part.ends:
            return False
    return False


def _merged(parts: Iterable[Part], words: Sequence[str]) -> list[Part]:
    """Parts, those that only go on about the one before joined to it: "liver 20 cm, enlarged"."""
    made: list[Part] = []
    for part in parts:
        last = made[-1] if made else None
        joined = last is not None and words[part.start - 1] == "," and last.subject
        sized = not part.subject and part.told == "size"
        described = part.told == "verdict" or (
            part.told == "bare" and last is not None and last.organ and not last.finding
        )
        if last is not None and joined and (sized or described):
            told = "size" if sized else DESCRIBED
            if sized and last.organ and not last.finding and _names_only(made[:-1]):
                told = ""  # "nodule, left upper lobe, 17 mm"
            made[-1] = last._replace(end=part.end, told=told)
        else:
            made.append(part._replace(told="" if part.told in BARE else part.told))
    return made


def _names_only(parts: Sequence[Part]) -> bool:
    """Whether the last of parts names a finding, and nothing tells where it lies."""
    return bool(parts) and parts[-1].finding and not (parts[-1].organ or parts[-1].told)


def _stops(said: Said) -> list[int]:
    """Marks that may part statements: commas and semicolons, other marks where several do so.

    "No PE - small effusion - liver normal", and so with slashes where there is no other mark.
    """
    words = said.words
    marks = ",;-"
    if _COMMAS.isdisjoint(words):
        inner = words[:-1]
        marks = next((mark for mark in _DASHES if mark in inner), "")
        marks = marks or next((mark for mark in _SLASHES if inner.count(mark) >= _SEVERAL), "")
    if not marks:
        return []
    within = parentheses(words)
    answers = {
        cue.start for cue in said.cues if words[cue.start] == "-" and cue.end - cue.start > 1
    }
    return [
        i for i, word in enumerate(words) if word in marks and not within[i] and i not in answers
    ]
