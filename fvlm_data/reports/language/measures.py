"""Severities, counts, changes and sides of what a sentence mentions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.reports.language.anatomy import (
    ANATOMY,
    HEAD,
    JOINT,
    OF,
    OTHER,
    PREPOSITION,
    VERB,
    joined,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.phrase_matching import Match
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Change, Severity, Side

_NEAR = 4
NEAR_BEFORE, FAR_BEFORE = 5, 9
"""Words between a side and a head behind it, and the same where all attributes stand before."""
_PLAIN = frozenset({"left", "right", "bilateral"})
_COMPARED = 2
"""Words between two sides of which one has more."""
_NEAR_SIDE = 3
"""Words between a side and the head that it is said of alone."""
_MOVED = frozenset({"increased", "decreased", "resolved"})
"""Changes beside which what persists has changed."""
_MARKS = 2
"""Marks around the words of a clause."""


def severity_of(
    place: tuple[int, int],
    severities: Sequence[Match],
    roles: Sequence[int],
    clauses: Sequence[int],
) -> Severity | None:
    """Severity said right before a head, or of it after a verb ("the effusion is mild")."""
    start, end = place
    best: tuple[int, int, Severity] | None = None
    for match in severities:
        if clauses[match.start] != clauses[start]:
            continue
        if match.end <= start:
            between = roles[match.end : start]
            apart = len(between) > _NEAR or any(r in (VERB, PREPOSITION, HEAD) for r in between)
            apart = apart or _of_something_else(between)
        elif match.start >= end:
            between = roles[end : match.start]
            apart = len(between) > 2 or VERB not in between or HEAD in between
            # "Emphysema, severe."
            apart = apart and (list(between) != [JOINT] or match.end < _last(roles, match.end))
        else:
            between, apart = (), False
        if not apart:
            rank = (len(between), match.start - match.end, match.phrase.severity)
            best = rank if best is None or rank[:2] < best[:2] else best  # type: ignore[assignment]
    return best[2] if best else None


def _of_something_else(between: Sequence[int]) -> bool:
    """Whether a degree is that of other words, listed before: "mild motion artifact, nodule"."""
    return JOINT in between and between[: between.index(JOINT)].count(OTHER) > 1


def _last(roles: Sequence[int], start: int) -> int:
    """Token behind the last word of a sentence, or `start` where only one mark follows."""
    return start if len(roles) <= start + 1 else len(roles)


def count_of(
    place: tuple[int, int],
    counts: Sequence[Match],
    roles: Sequence[int],
    clauses: Sequence[int],
) -> str | None:
    """Number of what a head names, said right before it ("two small nodules")."""
    best: tuple[int, str] | None = None
    for match in counts:
        if match.end > place[0] or clauses[match.start] != clauses[place[0]]:
            continue
        between = roles[match.end : place[0]]
        if len(between) > _NEAR or any(r in (VERB, PREPOSITION, HEAD, JOINT) for r in between):
            continue
        best = max(best or (0, ""), (match.end, match.phrase.count))
    return best[1] if best else None


def change_of(
    place: tuple[int, int],
    changes: Sequence[Match],
    roles: Sequence[int],
    clauses: Sequence[int],
) -> str | None:
    """Change over time said of a head, the nearest in its clause with no other head between."""
    start, end = place
    best: tuple[int, int, str] | None = None
    for match in changes:
        if clauses[match.start] != clauses[start] and not _goes_on(match, place, roles, clauses):
            continue
        if match.end <= start:
            between = roles[match.end : start]
            while between and between[-1] == HEAD:  # "new metastatic nodules"
                between = between[:-1]
            if VERB in between or (HEAD in between and JOINT not in between):
                continue
        elif match.start >= end:
            between = roles[end : match.start]
            while between and between[0] == HEAD:  # "metastatic nodules have increased"
                between = between[1:]
            if HEAD in between and JOINT not in between:
                continue
            if JOINT in between and _of_next(match, roles, clauses):
                continue
        else:
            continue
        rank = (len(between), match.start - match.end, match.phrase.change)
        best = min(best, rank) if best else rank
    return best[2] if best else None


def without_persistence(
    changes: Sequence[Match],
    words: Sequence[str],
    heads: Sequence[tuple[int, int]],
    persistence: frozenset[str],
) -> list[Match]:
    """Changes but for words that something persists where it is then told how it has changed.

    "The effusion persists but is smaller", not "persistent effusion, smaller nodule".
    """
    made = []
    for match in changes:
        later = [one for one in changes if one.start >= match.end]
        told = (
            persistence.issuperset(words[match.start : match.end])
            and bool(later)
            and ";" not in words[match.end : later[0].start]
            and later[0].phrase.change in _MOVED
            and not any(later[0].end <= start <= later[0].end + 1 for start, _ in heads)
        )
        between = [h for h in heads if told and match.end <= h[0] < later[0].start]
        before = any(end <= match.start for _, end in heads)
        if not told or len(between) > (0 if before else 1):
            made.append(match)
    return made


def _of_next(match: Match, roles: Sequence[int], clauses: Sequence[int]) -> bool:
    """Whether a change stands before a finding of its own: "a stable nodule, a new mass"."""
    clause = clauses[match.start]
    following = [roles[i] for i in range(match.end, len(roles)) if clauses[i] == clause]
    stop = following.index(JOINT) if JOINT in following else len(following)
    return HEAD in following[:stop]


def _goes_on(
    match: Match, place: tuple[int, int], roles: Sequence[int], clauses: Sequence[int]
) -> bool:
    """Whether a later clause has no subject of its own ("a cyst is seen, and is unchanged")."""
    start, end = place
    if match.start < end or HEAD in roles[match.end : match.end + 1]:
        return False  # "no effusion, but new emphysema"
    # a change that is all its clause tells is that of the finding before it: "...; stable"
    clause = clauses[match.start]
    alone = clauses.count(clause) <= match.end - match.start + _MARKS
    return not any(
        roles[i] == HEAD or (roles[i] == ANATOMY and not alone)
        for i in range(end, match.start)
        if clauses[i] != clauses[start]
    )


def side_of(
    place: tuple[int, int],
    sides: Sequence[tuple[int, int, Side]],
    roles: Sequence[int],
    clauses: Sequence[int],
    *,
    behind: bool = False,
    reach: int = NEAR_BEFORE,
) -> Side | None:
    """Side of a head: at most `reach` words before it, or behind it ("effusion on the left").

    Where sides stand `behind` what they are told of, one behind another head is that one's.
    """
    start, end = place
    before: list[Side] = []
    after: list[Side] = []
    for first, past, side in sides:
        if clauses[first] != clauses[start]:
            continue
        if past <= start:
            between = roles[past:start]
            if behind and first and roles[first - 1] == HEAD:
                continue
            if _of_listed_organ(between):
                continue
            if len(between) <= reach and all(role in (OTHER, JOINT, ANATOMY) for role in between):
                before.append(side)
        elif first >= end:
            between = roles[end:first]
            listed = HEAD not in between or (PREPOSITION in between and _listed(between))
            if listed and (ANATOMY not in between or _seen_on(between)):
                after.append(side)
        else:
            before.append(side)
    return joined(before) or joined(after)


def _of_listed_organ(between: Sequence[int]) -> bool:
    """Whether a side is that of an organ before another one: "right lobe and mediastinal nodes"."""
    if JOINT not in between:
        return False
    joint = between.index(JOINT)
    return ANATOMY in between[:joint] and ANATOMY in between[joint:]


def _seen_on(between: Sequence[int]) -> bool:
    """Whether an organ's side follows its verb: "nodule of the pleura is seen on the left"."""
    if VERB not in between or between[0] != OF:
        return False
    verb = between.index(VERB)
    organ = [i for i, role in enumerate(between) if role == ANATOMY]
    behind = between[verb:]
    return organ[-1] < verb and PREPOSITION in behind and set(behind) <= {VERB, PREPOSITION, OTHER}


def own_side(
    place: tuple[int, int],
    sides: Sequence[tuple[int, int, Side]],
    roles: Sequence[int],
    *,
    behind: bool = False,
) -> Side | None:
    """Side that is said of a head alone, right behind it and of no organ: "stone on the right".

    `behind`: in the language a side needs no preposition ("Stein rechts").
    """
    end = place[1]
    if behind:
        for first, past, side in sides:
            if first == end:
                return None if roles[past : past + 1] == [ANATOMY] else side
    found: list[Side] = []
    for first, past, side in sides:
        between = roles[end:first]
        if found and JOINT in between:  # "on the right side and on the left"
            if VERB in between[: between.index(JOINT)]:
                break
            between = between[between.index(JOINT) + 1 :]
        if first < end or len(between) > 3 or not between or between[0] != PREPOSITION:
            continue
        if set(between) <= {PREPOSITION, OTHER} and not _of_more(past, sides, roles):
            found.append(side)
            end = past
    return joined(found)


def side_before(
    start: int, sides: Sequence[tuple[int, int, Side]], roles: Sequence[int]
) -> Side | None:
    """Side of a head alone, right before it: "right effusion with left basal atelectasis"."""
    before = [one for one in sides if one[1] <= start]
    if not before:
        return None
    first, past, side = before[-1]
    if start - past > _NEAR_SIDE or any(role != OTHER for role in roles[past:start]):
        return None
    between = roles[before[-2][1] : first] if len(before) > 1 else None
    if between is None or not {*between} <= {JOINT, OTHER}:
        return side if side in _PLAIN else None
    # "right more than left effusions", not "right and left"
    compared = JOINT not in between and 0 < len(between) <= _COMPARED
    return joined([before[-2][2], side]) if compared else None


def _of_more(past: int, sides: Sequence[tuple[int, int, Side]], roles: Sequence[int]) -> bool:
    """Whether a side is that of an organ behind it, or one of several."""
    following = roles[past : past + _NEAR + 1]
    next_role = next((role for role in following if role not in (OTHER, JOINT)), None)
    listed = any(past < first <= past + 2 for first, _, _ in sides) and JOINT in following[:2]
    return next_role in (ANATOMY, OF) or listed or following[:1] == (HEAD,)


def sides_in_turn(
    start: int,
    sides: Sequence[tuple[int, int, Side]],
    words: Sequence[str],
    roles: Sequence[int],
    book: Phrasebook,
) -> tuple[tuple[int, Side], tuple[int, Side]] | None:
    """Two sides before one head, each with a degree or size of its own, and where each stands.

    "Moderate right and small left effusions", not "right and left effusions".
    """
    before = [(first, past, side) for first, past, side in sides if past <= start]
    if len(before) < 2:
        return None
    (one, one_past, left), (two, two_past, right) = before[-2:]
    between, near = words[one_past:two], roles[two_past:start]
    if left == right or "bilateral" in (left, right) or len(near) > _NEAR:
        return None
    # "hydronephrosis on the left, no right hydronephrosis"
    ahead = one - 1 - (one > 0 and words[one - 1] in book.grammar.articles)
    if not book.grammar.denials.isdisjoint(between):
        return None
    if ahead > 0 and roles[ahead] == PREPOSITION and HEAD in roles[:ahead]:
        return None
    if not between or between[0] not in book.conjunctions or len(between) < 2 or len(between) > 4:
        return None
    told = any(role in (VERB, PREPOSITION, HEAD, ANATOMY) for role in roles[one_past:two])
    if told or any(role not in (OTHER, ANATOMY) for role in near):
        return None
    return (one, left), (two, right)


def changes_by_side(
    end: int,
    sides: Sequence[tuple[int, int, Side]],
    changes: Sequence[Match],
    roles: Sequence[int],
) -> list[tuple[Side, Change]]:
    """Changes behind a head, each of one side: "increased on the right, stable on the left".

    Two at least, and of two sides; nothing but words of place stands between a change and its side.
    The side may stand first: "on the right it has resolved, on the left it persists".
    """
    told: dict[Side, Change] = {}
    for match in changes:
        following = [side for side in sides if side[0] >= match.end]
        if match.start < end or not following:
            continue
        first, _, side = following[0]
        if first - match.end <= _NEAR and {*roles[match.end : first]} <= {PREPOSITION, OTHER}:
            told.setdefault(side, match.phrase.change)  # type: ignore[arg-type]
    if not told:
        for match in changes:
            before = [side for side in sides if end <= side[0] and side[1] <= match.start]
            if before and {*roles[before[-1][1] : match.start]} <= {VERB, OTHER, HEAD}:
                told.setdefault(before[-1][2], match.phrase.change)  # type: ignore[arg-type]
    return list(told.items()) if {"left", "right"} <= told.keys() else []


def _listed(between: Sequence[int]) -> bool:
    """Heads before the first preposition only, joined by "and" or commas."""
    first = between.index(PREPOSITION)
    return HEAD not in between[first:] and JOINT in between[:first] and VERB not in between
