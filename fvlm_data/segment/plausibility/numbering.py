"""Whether the values of a label map are those of another version of the same library.

Versions give the same names to other values. Where no names stand in the file, each version's names
are put to the values, and what contradicts them in the image and in anatomy is weighed: one that is
contradicted much more than the other is not the one that the mask was made with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.segment.plausibility.measures import SIDES
from fvlm_data.segment.plausibility.position import votes_on
from fvlm_data.segment.plausibility.remark import Remark, whole
from fvlm_data.segment.plausibility.structures import structures_of
from fvlm_data.segment.plausibility.tissue import enough, shown, size_remarks, wrong_intensity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.segment.plausibility.expected import Expected, UprightTube
    from fvlm_data.segment.plausibility.measures import Measure

IMPOSSIBLE, WRONG, UNUSUAL = 3, 2, 1
"""Weight of what cannot be, of what should not be, and of what few bodies have."""

LEAST_MORE = 4
TIMES = 2.5
"""By how much more, and how many times as much, a numbering must be contradicted than the other."""

SHOWN = 4


def numbering_remarks(
    measures: Mapping[int, Measure],
    declared: tuple[str, Mapping[int, str]],
    others: Sequence[tuple[str, Mapping[int, str]]],
    expected: Expected,
) -> list[Remark]:
    """Names of another class system fit the values much better, or better.

    The first is the fault `another_numbering`, the second the remark `numbering_doubtful`.
    `measures` are by value; `declared` and `others` are class systems and their names of values.
    """
    name, names = declared
    differing = [
        (system, theirs)
        for system, theirs in others
        if system != name
        and set(measures) <= set(theirs)
        and any(theirs[value] != names[value] for value in measures)
    ]
    if not differing:
        return []
    mine = sorted(contradictions(measures, names, expected), key=lambda one: -one[0])
    weight = sum(one for one, _ in mine)
    for system, theirs in differing if weight >= WRONG else ():
        found = sum(one for one, _ in contradictions(measures, theirs, expected))
        certain = weight - found >= LEAST_MORE and weight >= TIMES * found
        if certain or not found:
            seen = "; ".join(text for _, text in mine[:SHOWN])
            text = (
                f"the values fit the classes of {system} better than those of {name}, which were "
                f"declared ({weight} against {found} contradictions by weight: {seen})"
            )
            return [whole("another_numbering" if certain else "numbering_doubtful", text)]
    return []


def contradictions(
    measures: Mapping[int, Measure], names: Mapping[int, str], expected: Expected
) -> Iterator[tuple[int, str]]:
    """What contradicts these names of the values: a weight and what was seen."""
    named = {
        expected.canonical(names[value]): replace(one, name=expected.canonical(names[value]))
        for value, one in measures.items()
    }
    for name, one in named.items():
        told = expected.intensity(name)
        if not told or not enough(one):
            continue
        if wrong := wrong_intensity(one, told):
            yield IMPOSSIBLE, f"{name} {wrong}"
    yield from _airless(named, expected)
    structures = structures_of(named, expected)
    yield from _sizes(structures, expected)
    votes, crossed = votes_on(structures, expected)
    yield from ((vote.weight, vote.seen) for vote in votes if not vote.good)
    yield from ((UNUSUAL, one.seen) for one in crossed)


def _airless(named: Mapping[str, Measure], expected: Expected) -> Iterator[tuple[int, str]]:
    """Lobes without air, once for all: what fills one with fluid may fill the others."""
    seen = []
    for name, one in named.items():
        told = expected.intensity(name)
        if told and told.kind == "lung" and enough(one):
            aerated = one.share_within(-1100, expected.aerated.below_hu)
            if aerated < expected.aerated.share:
                seen.append(f"{name} holds {100 * aerated:.0f} % of air")
    if seen:
        yield WRONG if len(seen) == 1 else IMPOSSIBLE, ", ".join(seen)


def _sizes(structures: Mapping[str, Measure], expected: Expected) -> Iterator[tuple[int, str]]:
    for remark in size_remarks(structures, expected, None, None):
        impossible = remark.code == "volume_impossible"
        yield IMPOSSIBLE if impossible else UNUSUAL, remark.seen
    for name, most_mm in expected.tallest_mm.items():
        one = structures.get(name)
        if one and shown(one) and one.extent_mm[2, 1] - one.extent_mm[2, 0] > most_mm:
            tall = one.extent_mm[2, 1] - one.extent_mm[2, 0]
            yield WRONG, f"{name} is {tall:.0f} mm tall, expected {most_mm:.0f} mm at most"
    for name in expected.upright_tube.classes:
        one = structures.get(name)
        if one and enough(one) and (seen := _upright_tube(one, expected.upright_tube)):
            yield WRONG, f"{name} {seen}"


def _upright_tube(one: Measure, rule: UprightTube) -> str:
    """That a structure is an upright tube, whatever part of it is shown; empty if it is none."""
    if not one.faces.isdisjoint({*SIDES[0], *SIDES[1]}):
        return ""
    across, deep, tall = (float(high - low) for low, high in one.extent_mm[:3])
    wide = max(across, deep)
    if wide > rule.widest_mm or tall < rule.times * wide:
        return ""
    return f"is an upright tube of {wide:.0f} mm, {tall:.0f} mm tall"
