"""From the slices of one series to the stacks that it holds."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from fvlm_data.ingest.volume.attributes import ATTRIBUTES
from fvlm_data.ingest.volume.geometry import Grid, SliceGeometry
from fvlm_data.ingest.volume.stacks.fragments import fragments_named
from fvlm_data.ingest.volume.stacks.header_differences import checked, varying_attributes
from fvlm_data.ingest.volume.stacks.joined import joined, without_turned
from fvlm_data.ingest.volume.stacks.one_scan import alike, apart
from fvlm_data.ingest.volume.stacks.soft_splits import prove_or_split
from fvlm_data.ingest.volume.stacks.stack import Stack, split_by

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.dicom.slice_header import SliceHeader

MOST_SUBSETS = 6
"""Above this many varying elements not every set of them is tried."""


def stacks(headers: Sequence[SliceHeader], config: IngestConfig) -> list[Stack]:
    """Split a series into stacks, each with its geometry proof.

    Slices of one orientation are split by the elements of `ATTRIBUTES`, but not where that would
    cut one scan in two: slices that together are one even grid are one stack where the elements
    agree (blank, or written otherwise), and a fault that names the element where they do not;
    unless instance or acquisition numbers show two scans. So it is where orientations differ and
    planes are parallel. A stack is split further by
    time, acquisition or slice thickness if that leaves only proved volumes that lie over each
    other or far apart, and by ranges along the normal if the instance numbers say that no
    slice is missing between them. `members` are ordered as given; which slices form a stack
    does not depend on their order.
    """
    directions = _directions([header.geometry for header in headers], config.direction_tolerance)
    found: list[Stack] = []
    for part in split_by(range(len(headers)), directions.__getitem__):
        found.extend(joined(_scans(part, headers, config), headers, config))
    return fragments_named(without_turned(found, headers, config), headers)


def _scans(
    members: Sequence[int], headers: Sequence[SliceHeader], config: IngestConfig
) -> list[Stack]:
    """Stacks of slices of one orientation: the coarsest groups that are whole scans first.

    Groups whose elements agree go before those that contradict themselves: where two scans lie in
    the same places, halves of both may make one even grid too.
    """
    values = {one: [a.value(headers[one]) for a in ATTRIBUTES] for one in members}
    found: list[Stack] = []
    left = list(members)
    ways = list(_ignorable(values))
    for ignored, agreeing in [*((way, True) for way in ways), *((way, False) for way in ways)]:
        kept = [place for place in range(len(ATTRIBUTES)) if place not in ignored]
        for part in split_by(left, lambda one, kept=kept: tuple(values[one][n] for n in kept)):  # type: ignore[misc]
            tried = prove_or_split(part, alike(part, headers), config)
            if not _are_scans(tried, headers, config):
                continue
            told = [checked(stack, headers) for stack in tried]
            if agreeing and not all(isinstance(stack.proof, Grid) for stack in told):
                continue
            found.extend(told)
            left = sorted(set(left) - set(part))
    for part in split_by(left, lambda one: tuple(values[one])):
        found.extend(prove_or_split(part, headers, config))
    return found


def _ignorable(values: Mapping[int, Sequence[Hashable]]) -> Iterator[frozenset[int]]:
    """Sets of places in ATTRIBUTES to leave out of account, larger ones first.

    Only those whose values vary; those that part the slices in the same way go together.
    """
    bundles: dict[tuple[int, ...], set[int]] = {}
    for place in range(len(ATTRIBUTES)):
        numbers: dict[Hashable, int] = {}
        pattern = tuple(numbers.setdefault(told[place], len(numbers)) for told in values.values())
        if len(numbers) > 1:
            bundles.setdefault(pattern, set()).add(place)
    parts = list(bundles.values())
    for size in range(len(parts), 0, -1):
        # 2^n sets are too many where many elements vary, each in its own way
        if len(parts) <= MOST_SUBSETS or size in (1, len(parts) - 1, len(parts)):
            for chosen in combinations(parts, size):
                yield frozenset().union(*chosen)


def _are_scans(
    tried: Sequence[Stack], headers: Sequence[SliceHeader], config: IngestConfig
) -> bool:
    """Whether stacks within which elements vary are proved, and no mixture of two scans."""
    return all(
        isinstance(stack.proof, Grid)
        and not apart(stack.members, headers, varying_attributes(stack.members, headers), config)
        for stack in tried
    )


def _directions(geometries: Sequence[SliceGeometry], tolerance: float) -> list[int]:
    """A number for each slice, equal for slices whose orientations agree within `tolerance`."""
    kinds: list[tuple[float, ...]] = []
    numbers: dict[tuple[float, ...], int] = {}
    for orientation in sorted({one.orientation for one in geometries if one.orientation}):
        match = next(
            (
                number
                for number, kind in enumerate(kinds)
                if max(abs(a - b) for a, b in zip(kind, orientation, strict=True)) <= tolerance
            ),
            None,
        )
        if match is None:
            match = len(kinds)
            kinds.append(orientation)
        numbers[orientation] = match
    return [numbers[one.orientation] if one.orientation else -1 for one in geometries]
