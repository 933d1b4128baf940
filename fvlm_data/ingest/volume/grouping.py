"""From the slices of one series to the stacks that it holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.attributes import ATTRIBUTES, Attribute, conflicting, stated
from fvlm_data.ingest.volume.geometry import (
    GAP_FACTOR,
    Fault,
    Grid,
    SliceGeometry,
    heights_mm,
    prove,
)
from fvlm_data.ingest.volume.turned import mixed_orientation, turned_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.dicom.slice_header import SliceHeader

SOFT_KEYS: tuple[Callable[[SliceHeader], Hashable], ...] = (
    lambda header: header.temporal_position,
    lambda header: header.acquisition,
    lambda header: (header.temporal_position, header.acquisition),
    lambda header: header.trigger,
    lambda header: header.acquired_at,
    lambda header: header.content_at,
    lambda header: header.thickness,
)
"""Elements that split a stack only if every part is a proved volume.

They are no hard criterion because some scanners increase AcquisitionNumber, or state another time,
with every rotation of a single volume.
"""

FAR_STEPS = 5
FAR_MM = 20.0
"""Two ranges along the normal are separate scans only if they are this many steps and mm apart."""

MOST_SUBSETS = 6
"""Above this many varying elements not every set of them is tried."""

MOST_STACKS = 200
"""Above this many stacks of one orientation they are not compared in pairs."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices (by their number in the series) that belong together, and what geometry says.

    `joined_over` names the elements that are blank or spelt in several ways on the slices of one
    scan, each with the number of slices that differ from most.
    """

    members: tuple[int, ...]
    proof: Grid | Fault
    joined_over: tuple[tuple[str, int], ...] = ()


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
    for part in _split(range(len(headers)), directions.__getitem__):
        found.extend(_joined(_scans(part, headers, config), headers, config))
    return _fragments_named(_without_turned(found, headers, config), headers)


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
        for part in _split(left, lambda one, kept=kept: tuple(values[one][n] for n in kept)):  # type: ignore[misc]
            tried = _prove_or_split(part, _alike(part, headers), config)
            if not _are_scans(tried, headers, config):
                continue
            checked = [_checked(stack, headers) for stack in tried]
            if agreeing and not all(isinstance(stack.proof, Grid) for stack in checked):
                continue
            found.extend(checked)
            left = sorted(set(left) - set(part))
    for part in _split(left, lambda one: tuple(values[one])):
        found.extend(_prove_or_split(part, headers, config))
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
        and not _apart(stack.members, headers, _varying(stack.members, headers), config)
        for stack in tried
    )


def _varying(members: Iterable[int], headers: Sequence[SliceHeader]) -> list[Attribute]:
    """Elements of which slices have several values, blank being one."""
    mine = [headers[one] for one in members]
    return [a for a in ATTRIBUTES if len({a.value(header) for header in mine}) > 1]


def _apart(
    members: Sequence[int],
    headers: Sequence[SliceHeader],
    varying: Sequence[Attribute],
    config: IngestConfig,
) -> bool:
    """Whether an even grid is two scans nonetheless: slices that differ in `varying`.

    Scans whose slices lie between each other are told by their numbers: each has its own run of
    InstanceNumber, or its own AcquisitionNumber or temporal position. Scans that continue each
    other exactly are two if they were taken in another way, under another AcquisitionNumber.
    """
    heights = heights_mm([headers[one].geometry for one in members])
    shown = [headers[one] for one in members]
    clashing = [a for a in varying if conflicting(a, shown)]
    telling = clashing or varying
    parts = _split(members, lambda one: tuple(a.value(headers[one]) for a in telling))
    if heights is None or len(parts) < 2 or min(map(len, parts)) < config.min_slices:
        return False
    height = dict(zip(members, heights.tolist(), strict=True))
    acquired = _own_values(parts, headers)
    if any(_place(pair, parts, height) == "over" for pair in combinations(range(len(parts)), 2)):
        return acquired or _own_runs(parts, headers)
    return bool(clashing) and acquired and all(a.technique for a in clashing)


def _own_values(parts: Sequence[Sequence[int]], headers: Sequence[SliceHeader]) -> bool:
    """Whether each part has an acquisition number or temporal position of its own."""
    for keyword in ("acquisition", "temporal_position"):
        values = [{getattr(headers[one], keyword) for one in part} for part in parts]
        if all(len(own) == 1 and own != {""} for own in values):
            return len(set().union(*values)) == len(parts)
    return False


def _own_runs(parts: Sequence[Sequence[int]], headers: Sequence[SliceHeader]) -> bool:
    """Whether the instance numbers of the parts do not mix."""
    runs = sorted(
        (min(numbers), max(numbers))
        for numbers in ([headers[one].instance for one in part] for part in parts)
    )
    return runs[0][0] >= 0 and all(a[1] < b[0] for a, b in pairwise(runs))


def _checked(stack: Stack, headers: Sequence[SliceHeader]) -> Stack:
    """A proved stack with what its headers differ in; a fault where they contradict each other."""
    varying = _varying(stack.members, headers)
    if not varying or not isinstance(stack.proof, Grid):
        return stack
    mine = [headers[one] for one in stack.members]
    clashing = [a for a in varying if conflicting(a, mine)]
    if clashing:
        return replace(stack, proof=_contradiction(clashing, mine))
    differing = tuple((a.keyword, len(mine) - _commonest(a, mine)) for a in varying)
    return replace(stack, joined_over=differing)


def _commonest(attribute: Attribute, headers: Sequence[SliceHeader]) -> int:
    return max(Counter(attribute.value(header) for header in headers).values())


def _contradiction(clashing: Sequence[Attribute], headers: Sequence[SliceHeader]) -> Fault:
    """Only keywords and counts: the values may be an identity."""
    told = []
    for attribute in clashing:
        counts = Counter(attribute.value(header) for header in headers)
        sizes = sorted((n for value, n in counts.items() if value is not None), reverse=True)
        shown = ", ".join(map(str, sizes[:3])) + (", ..." if len(sizes) > 3 else "")
        told.append(f"{attribute.keyword} has {len(sizes)} values (on {shown} slices)")
    return Fault(
        "mixed_header",
        f"{len(headers)} slices are one even grid, one scan, within which {'; '.join(told)}; "
        "expected one: correct the headers in the archive and send the series again",
    )


def _alike(members: Sequence[int], headers: Sequence[SliceHeader]) -> Sequence[SliceHeader]:
    """Headers whose size and pixel spacing are made equal, to look at their places alone.

    Of several spellings of PixelSpacing the one with most digits counts.
    """
    mine = {headers[one].geometry for one in members}
    sizes = {(one.rows, one.columns, one.pixel_spacing_mm) for one in mine}
    if len(sizes) < 2:
        return headers
    exact = min(
        (headers[one] for one in members),
        key=lambda h: (
            h.geometry.pixel_spacing_mm is None,
            -max((len(text) for text in h.pixel_spacing), default=0),
            h.geometry.pixel_spacing_mm or (),
            h.geometry.rows,
            h.geometry.columns,
        ),
    ).geometry
    made = list(headers)
    for one in members:
        geometry = replace(
            made[one].geometry,
            pixel_spacing_mm=exact.pixel_spacing_mm,
            rows=exact.rows,
            columns=exact.columns,
        )
        made[one] = replace(made[one], geometry=geometry)
    return made


def _joined(
    found: Sequence[Stack], headers: Sequence[SliceHeader], config: IngestConfig
) -> list[Stack]:
    """Stacks, those that are parts of one scan put together.

    What is left of a scan that lies with another one in the same places (a kernel that is lost on
    the tail of one of two reconstructions).
    """
    if not 1 < len(found) <= MOST_STACKS:
        return list(found)
    pairs = [
        pair
        for pair in combinations(range(len(found)), 2)
        if _is_one_scan([found[one] for one in pair], headers, config)
    ]
    made: list[Stack] = []
    for group in _connected(len(found), pairs):
        if len(group) == 1:
            made.append(found[group[0]])
            continue
        members = tuple(sorted(one for place in group for one in found[place].members))
        whole = Stack(members, _proof(members, _alike(members, headers), config))
        if isinstance(whole.proof, Grid):
            made.append(_checked(whole, headers))
        else:
            mine = [headers[one] for one in members]
            made.append(Stack(members, _ambiguous(_varying(members, headers), mine)))
    return made


def _without_turned(
    found: Sequence[Stack], headers: Sequence[SliceHeader], config: IngestConfig
) -> list[Stack]:
    """Stacks, those that are one scan but for their orientation as one that is refused."""
    if not 1 < len(found) <= MOST_STACKS:
        return list(found)
    parts = [[headers[one].geometry for one in stack.members] for stack in found]
    made: list[Stack] = []
    for group in _connected(len(found), turned_parts(parts, config)):
        members = tuple(sorted(one for place in group for one in found[place].members))
        sizes = [len(found[place].members) for place in group]
        made.append(
            found[group[0]] if len(group) == 1 else Stack(members, mixed_orientation(sizes))
        )
    return made


def _ambiguous(varying: Sequence[Attribute], headers: Sequence[SliceHeader]) -> Fault:
    named = ", ".join(attribute.keyword for attribute in varying)
    return Fault(
        "mixed_header",
        f"{len(headers)} slices of several scans of which parts continue more than one, told "
        f"apart only by {named}, which is blank or differs on some; expected one value a scan: "
        "correct the headers in the archive and send the series again",
    )


def _is_one_scan(
    pair: Sequence[Stack], headers: Sequence[SliceHeader], config: IngestConfig
) -> bool:
    one, other = ([headers[n].geometry for n in stack.members] for stack in pair)
    members = tuple(sorted((*pair[0].members, *pair[1].members)))
    varying = _varying(members, headers)
    if not varying or not _may_be_even(one + other):
        return False
    proof = _proof(members, _alike(members, headers), config)
    return isinstance(proof, Grid) and not _apart(members, headers, varying, config)


def _may_be_even(geometries: Sequence[SliceGeometry]) -> bool:
    """Whether places on the normal could be those of one scan; much faster than the proof."""
    heights = heights_mm(geometries)
    if heights is None or len(heights) < 2:
        return False
    distances = np.diff(np.sort(heights))
    return bool(distances.max() <= GAP_FACTOR * max(float(np.median(distances)), 1e-6))


def _connected(count: int, pairs: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Groups of places that pairs connect."""
    group = list(range(count))
    for one, other in pairs:
        old, new = group[other], group[one]
        group = [new if now == old else now for now in group]
    return [[n for n in range(count) if group[n] == name] for name in sorted(set(group))]


def _fragments_named(found: Sequence[Stack], headers: Sequence[SliceHeader]) -> list[Stack]:
    """Stacks, those of too few slices with what sets them apart from the rest of the series."""
    largest = max(
        found,
        # UIDs, so that of two stacks of one size file order picks none
        key=lambda stack: (len(stack.members), min(headers[n].sop_uid for n in stack.members)),
        default=None,
    )
    return [
        stack if stack is largest or largest is None else _fragment(stack, largest, headers)
        for stack in found
    ]


def _fragment(stack: Stack, largest: Stack, headers: Sequence[SliceHeader]) -> Stack:
    if not (isinstance(stack.proof, Fault) and stack.proof.reason == "too_few_slices"):
        return stack
    mine = [headers[one] for one in stack.members]
    others = [headers[one] for one in largest.members]
    differing = [
        a.keyword
        for a in ATTRIBUTES
        if stated(a, mine) and stated(a, others) and conflicting(a, (*mine, *others))
    ]
    if not differing:
        return stack
    size = {"Rows", "Columns"} & set(differing)
    detail = (
        f"{len(mine)} slice(s) differ from {len(others)} others of the series in "
        f"{', '.join(differing)} and do not continue them: too few to be a volume; leave them out, "
        "or correct the headers in the archive and send the series again"
    )
    return replace(stack, proof=Fault("mixed_size" if size else "too_few_slices", detail))


def _prove_or_split(
    members: Sequence[int], headers: Sequence[SliceHeader], config: IngestConfig
) -> list[Stack]:
    """The stack as a whole, or its parts if those are what was scanned.

    Even a stack that is proved as a whole is split if its parts overlap: two time points whose
    slices interleave look like one volume of half the spacing.
    """
    whole = Stack(tuple(members), _proof(members, headers, config))
    heights = heights_mm([headers[number].geometry for number in members])
    if heights is None:
        return [whole]
    height = dict(zip(members, heights.tolist(), strict=True))
    for soft_key in SOFT_KEYS:
        keys = {number: soft_key(headers[number]) for number in members}
        parts = _split(members, keys.__getitem__)
        if len(parts) < 2:
            continue
        # an element that differs on a slice or two is noise, not another time point
        if min(map(len, parts)) < config.min_slices:
            continue
        places = {_place(pair, parts, height) for pair in combinations(range(len(parts)), 2)}
        # parts that continue each other are one scan, as is a sound volume whose parts do not
        # overlap
        if "near" in places or (isinstance(whole.proof, Grid) and "over" not in places):
            continue
        tried = [Stack(tuple(part), _proof(part, headers, config)) for part in parts]
        if all(isinstance(stack.proof, Grid) for stack in tried):
            return tried
    if isinstance(whole.proof, Fault) and whole.proof.reason == "missing_slices":
        return _ranges(members, headers, config, height) or [whole]
    return [whole]


def _place(pair: tuple[int, ...], parts: list[list[int]], height: dict[int, float]) -> str:
    """Whether two parts lie `over` each other, `far` apart, or `near` (side by side)."""
    (low_a, high_a, step_a), (low_b, high_b, step_b) = (
        _extent([height[number] for number in parts[one]]) for one in pair
    )
    between = max(low_a, low_b) - min(high_a, high_b)
    if between > _far(max(step_a, step_b)):
        return "far"
    shorter = min(high_a - low_a, high_b - low_b)
    return "over" if between < -shorter / 2 else "near"


def _extent(heights: list[float]) -> tuple[float, float, float]:
    low, high = min(heights), max(heights)
    return low, high, (high - low) / max(1, len(heights) - 1)


def _far(step_mm: float) -> float:
    return max(FAR_MM, FAR_STEPS * step_mm)


def _ranges(
    members: Sequence[int],
    headers: Sequence[SliceHeader],
    config: IngestConfig,
    height: dict[int, float],
) -> list[Stack]:
    """Proved volumes far apart whose instance numbers continue without a gap; else nothing.

    A gap in the numbers means missing slices: then the parts are the remains of one volume.
    """
    ordered = sorted(members, key=lambda number: height[number])
    numbers = sorted(headers[number].instance for number in members)
    # -1 stands for an absent InstanceNumber
    if numbers[0] < 0 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return []
    distances = np.diff([height[number] for number in ordered])
    cuts = np.flatnonzero(distances > _far(float(np.median(distances)))) + 1
    parts = [part.tolist() for part in np.split(np.array(ordered), cuts)]
    if not all(_runs_on(part, headers) for part in parts):
        return []
    tried = [Stack(tuple(part), _proof(part, headers, config)) for part in parts]
    return tried if all(isinstance(stack.proof, Grid) for stack in tried) else []


def _runs_on(part: Sequence[int], headers: Sequence[SliceHeader]) -> bool:
    """Whether the instance numbers of ordered slices count up or down by one."""
    steps = {headers[after].instance - headers[before].instance for before, after in pairwise(part)}
    return steps in ({1}, {-1})


def _proof(
    members: Sequence[int], headers: Sequence[SliceHeader], config: IngestConfig
) -> Grid | Fault:
    return prove([headers[number].geometry for number in members], config)


def _split(members: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    """Members by key, parts in the order of their keys, so that file order plays no part."""
    parts: dict[Hashable, list[int]] = {}
    for member in members:
        parts.setdefault(key(member), []).append(member)
    return [parts[name] for name in sorted(parts, key=repr)]


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
