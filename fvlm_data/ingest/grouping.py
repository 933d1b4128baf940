"""From the slices of one series to the stacks that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.ingest.geometry import Fault, Grid, SliceGeometry, prove

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.slice_header import SliceHeader

SOFT_KEYS: tuple[Callable[[SliceHeader], Hashable], ...] = (
    lambda header: header.temporal_position,
    lambda header: header.acquisition,
    lambda header: (header.temporal_position, header.acquisition),
)
"""Elements that part a stack only where every part is a proved volume.

Some scanners count AcquisitionNumber up with every rotation of a single volume.
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices (by their number in the series) that belong together, and what geometry says."""

    members: tuple[int, ...]
    proof: Grid | Fault


def stacks(headers: Sequence[SliceHeader], config: IngestConfig) -> list[Stack]:
    """Split a series into stacks, each with its geometry proof.

    Slices of different study, frame of reference, size, pixel spacing, orientation, image
    type, kernel or tube voltage never share a stack. A stack that is no even volume is split
    further by temporal position or acquisition number if that leaves proved volumes only.
    `members` are ordered as given; which slices form a stack does not depend on their order.
    """
    directions = _directions([header.geometry for header in headers], config.direction_tolerance)
    parts = _split(
        range(len(headers)), lambda number: (directions[number], *_hard_key(headers[number]))
    )
    found: list[Stack] = []
    for part in parts:
        found.extend(_prove_or_split(part, headers, config))
    return found


def _hard_key(header: SliceHeader) -> tuple[Hashable, ...]:
    geometry = header.geometry
    spacing = geometry.pixel_spacing_mm
    return (
        header.names.study_uid,
        header.frame_of_reference,
        geometry.rows,
        geometry.columns,
        tuple(round(value, 4) for value in spacing) if spacing else (),
        header.image_type,
        header.kernel,
        header.kvp,
    )


def _prove_or_split(
    members: Sequence[int], headers: Sequence[SliceHeader], config: IngestConfig
) -> list[Stack]:
    whole = Stack(tuple(members), _proof(members, headers, config))
    if isinstance(whole.proof, Grid):
        return [whole]
    for soft_key in SOFT_KEYS:
        keys = {number: soft_key(headers[number]) for number in members}
        parts = _split(members, keys.__getitem__)
        if len(parts) < 2:
            continue
        tried = [Stack(tuple(part), _proof(part, headers, config)) for part in parts]
        if all(isinstance(stack.proof, Grid) for stack in tried):
            return tried
    return [whole]


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
    """A number for each slice, the same for slices of one orientation within `tolerance`."""
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
