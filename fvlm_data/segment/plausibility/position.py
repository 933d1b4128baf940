"""Whether the classes of a label map lie to each other as in a body.

Each known relation of two structures that are there is a vote. Both ends of their extents along
the axis must agree on it, so that a field of view that cuts them turns no vote. If most votes of
an axis are reversed, so is the axis; if they agree but for one or two structures, these are
misplaced.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from fvlm_data.segment.plausibility.measures import SIDES
from fvlm_data.segment.plausibility.remark import Remark, of, whole
from fvlm_data.segment.plausibility.tissue import enough, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.segment.plausibility.expected import Expected
    from fvlm_data.segment.plausibility.measures import Measure

OBLIQUE = "above_or_in_front_of"
"""Along the line that rises to the front: lobes and ribs, whatever part of them is shown."""

AXES = {"right_of": 0, "right_of_viscera": 0, "in_front_of": 1, "above": 2, OBLIQUE: 3}
REVERSED = {
    "right_of": "sides_exchanged",
    "right_of_viscera": "viscera_mirrored",
    "in_front_of": "front_back_exchanged",
    "above": "upside_down",
    OBLIQUE: "class_misplaced",
}
CONTRARY = {
    "right_of": "left of",
    "right_of_viscera": "left of",
    "in_front_of": "behind",
    "above": "below",
    OBLIQUE: "below or behind",
}

BETWEEN = frozenset({"aorta", "spine", "stomach", "inferior_vena_cava"})
"""Structures near the middle: what is reversed about them may be the others."""

EVEN_MM = 3.0
"""Ends so near to each other say nothing."""

CLEAR_MM = 8.0
"""At least one end must be so far from the other's."""

CERTAIN = 2
"""Weight of a relation without exceptions."""

MOST_MISPLACED = 2
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Vote:
    """`one` lies `how` to `other`, as expected (`good`) or the other way round."""

    one: str
    how: str
    other: str
    weight: int
    good: bool

    @property
    def seen(self) -> str:
        """What a reversed vote says."""
        return f"{self.one} lies {CONTRARY[self.how]} {self.other}"


def votes_on(
    structures: Mapping[str, Measure], expected: Expected
) -> tuple[list[Vote], list[Remark]]:
    """The votes of all known relations of what is there, and remarks on pairs that cross."""
    seen = {name: one for name, one in structures.items() if shown(one)}
    pairs, crossed = _pairs(seen)
    votes = [*_relations(seen, expected), *_sequences(seen, expected), *pairs]
    return votes, crossed


def position_remarks(structures: Mapping[str, Measure], expected: Expected) -> list[Remark]:
    """Axes that are reversed, structures that are misplaced, pairs that cross."""
    votes, remarks = votes_on(structures, expected)
    by_axis: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_axis[vote.how].append(vote)
    oblique = by_axis.pop(OBLIQUE, [])
    for how, mine in by_axis.items():
        remarks += _judged(how, mine)
    # what is upside down is so along the oblique line, too
    if {one.code for one in remarks}.isdisjoint({REVERSED["above"], REVERSED["in_front_of"]}):
        remarks += _judged(OBLIQUE, oblique)
    return _told_apart(remarks, by_axis["right_of"])


def _judged(how: str, votes: Sequence[Vote]) -> list[Remark]:
    """What the votes of one axis mean."""
    bad = [vote for vote in votes if not vote.good]
    if not bad:
        return []
    good = [vote for vote in votes if vote.good]
    misplaced = _misplaced(votes)
    if _weight(bad) > _weight(good) and not misplaced:
        if _weight(bad) >= CERTAIN:
            seen = f"{_shown(bad)}; {len(bad)} of {len(votes)} relations reversed"
            return [whole(REVERSED[how], seen)]
    elif _weight(bad) >= CERTAIN and any(vote.weight >= CERTAIN for vote in bad):
        names = misplaced or sorted(_names(vote for vote in bad if vote.weight >= CERTAIN))
        return [whole("class_misplaced", f"{' or '.join(names)}: {_shown(bad)}")]
    return [whole("order_unusual", _shown(bad))]


def _misplaced(votes: Sequence[Vote]) -> list[str]:
    """The one or two structures without which all other votes are good; none if it is not so.

    Where every vote is on one organ and bad, it is that organ: reversed viscera would show in the
    organs between which it lies, too, if any other than it were known.
    """
    left, names = list(votes), list[str]()
    while len(names) < MOST_MISPLACED:
        names.append(max(sorted(_names(left)), key=lambda name: _against(name, left)))
        left = [vote for vote in left if names[-1] not in (vote.one, vote.other)]
        if not left and len(names) == 1 and len(votes) > 1 and _names_one_organ(names[0], votes):
            return names
        if all(vote.good for vote in left):
            return names if left else []
    return []


def _names_one_organ(name: str, votes: Sequence[Vote]) -> bool:
    """Whether viscera are compared of which only one, that lies to a side, can be wrong."""
    return votes[0].how == "right_of_viscera" and name not in BETWEEN


def _told_apart(remarks: Sequence[Remark], sides: Sequence[Vote]) -> list[Remark]:
    """Reversed viscera with true sides are a situs inversus; with exchanged sides, all is said."""
    codes = {remark.code for remark in remarks}
    if "viscera_mirrored" not in codes:
        return list(remarks)
    if "sides_exchanged" in codes:
        return [remark for remark in remarks if remark.code != "viscera_mirrored"]
    good = _weight(vote for vote in sides if vote.good)
    bad = _weight(vote for vote in sides if not vote.good)
    if good < CERTAIN or bad:
        return list(remarks)
    proof = f"paired structures are on their sides ({len(sides)} relations)"
    return [
        whole("situs_inversus", f"{remark.seen}; {proof}")
        if remark.code == "viscera_mirrored"
        else remark
        for remark in remarks
    ]


def _relations(structures: Mapping[str, Measure], expected: Expected) -> list[Vote]:
    votes = []
    for relation in expected.relations:
        one, other = structures.get(relation.one), structures.get(relation.other)
        if one and other and enough(one) and enough(other):
            axis = AXES[relation.how]
            if relation.uncut and not (one.faces | other.faces).isdisjoint(SIDES[axis]):
                continue
            vote = _compared(one, other, axis)
            if vote:
                votes.append(Vote(one.name, relation.how, other.name, relation.weight, vote > 0))
    return votes


def _sequences(structures: Mapping[str, Measure], expected: Expected) -> list[Vote]:
    votes = []
    for how, sequence in expected.sequences:
        there = [structures[name] for name in sequence if name in structures]
        for one, other in pairwise(there):
            vote = _compared(one, other, AXES[how])
            if vote:
                votes.append(Vote(one.name, how, other.name, _certainty(one, other), vote > 0))
    return votes


def _pairs(structures: Mapping[str, Measure]) -> tuple[list[Vote], list[Remark]]:
    """Votes of left and right partners; reversed without being apart, they cross."""
    votes, crossed = [], []
    for name, right in structures.items():
        left = structures.get(name.replace("right", "left")) if "right" in name else None
        if left is None:
            continue
        vote = _compared(right, left, 0)
        apart = right.extent_mm[0, 1] < left.extent_mm[0, 0] + EVEN_MM
        if vote < 0 and not apart:
            seen = f"{name} reaches farther to the left than its partner"
            crossed.append(of("pair_crossed", name, seen))
        elif vote:
            votes.append(Vote(name, "right_of", left.name, _certainty(right, left), vote > 0))
    return votes, crossed


def _certainty(one: Measure, other: Measure) -> int:
    """Weight of a relation without exceptions: of a few voxels, which may be strays, less."""
    return CERTAIN if enough(one) and enough(other) else 1


def _compared(one: Measure, other: Measure, axis: int) -> int:
    """1: `one` lies higher along the RAS axis; -1: lower; 0: neither."""
    low, high = sorted(one.extent_mm[axis] - other.extent_mm[axis])
    if low >= -EVEN_MM and high >= CLEAR_MM:
        return 1
    return -1 if high <= EVEN_MM and low <= -CLEAR_MM else 0


def _against(name: str, votes: Iterable[Vote]) -> int:
    mine = [vote for vote in votes if name in (vote.one, vote.other)]
    return _weight(v for v in mine if not v.good) - _weight(v for v in mine if v.good)


def _names(votes: Iterable[Vote]) -> set[str]:
    return {name for vote in votes for name in (vote.one, vote.other)}


def _weight(votes: Iterable[Vote]) -> int:
    return sum(vote.weight for vote in votes)


def _shown(votes: Iterable[Vote]) -> str:
    ranked = sorted(votes, key=lambda vote: -vote.weight)
    return ", ".join(vote.seen for vote in ranked[:SHOWN])
