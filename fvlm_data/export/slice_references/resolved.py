"""From the numbers of a reference to a slice of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.export.slice_references.found import Reference


@dataclass(frozen=True, slots=True)
class Numbered:
    """A volume with the numbers of its headers: series, and instance of each slice k.

    `instances` is none where the headers could not be read.
    """

    volume_id: str
    series: int | None
    instances: Sequence[int | None] | None

    def slices(self, instance: int) -> list[int]:
        """Indices k of the slices of that number."""
        return [k for k, one in enumerate(self.instances or ()) if one == instance]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reference leads: outcome, and if resolved the volume, first and last slice."""

    outcome: str
    volume_id: str | None = None
    first: int | None = None
    last: int | None = None


def resolved(reference: Reference, volumes: Sequence[Numbered]) -> Place:
    """The slices that a reference names, among the volumes of its study; never by a guess.

    Where two volumes, or two slices of one, have the numbers, it is ambiguous.
    """
    unread = any(one.instances is None for one in volumes)
    named = reference.series
    of_series = [one for one in volumes if named is None or one.series == named]
    of_series = [one for one in of_series if one.instances is not None]
    if not of_series:
        return Place("headers_not_read" if unread or not volumes else "no_such_series")
    ends = [(one, one.slices(reference.first), one.slices(reference.last)) for one in of_series]
    found = [(one, first, last) for one, first, last in ends if first and last]
    if not found:
        return Place("headers_not_read" if unread else "no_such_image")
    one, first, last = found[0]
    # a volume without headers may be another one of that series
    if len(found) > 1 or len(first) > 1 or len(last) > 1 or unread:
        return Place("ambiguous")
    return Place("resolved", one.volume_id, first[0], last[0])


def centre_mm(affine_ras: Sequence[float], shape: Sequence[int], k: int) -> tuple[float, ...]:
    """RAS+ position of the centre of slice k; `affine_ras` are 16 numbers, row by row."""
    voxel = ((shape[0] - 1) / 2, (shape[1] - 1) / 2, k, 1)
    return tuple(
        sum(affine_ras[4 * row + column] * voxel[column] for column in range(4)) for row in range(3)
    )


def plausible(
    place: Place, anatomies: Sequence[str], extents: Mapping[str, tuple[int, int]]
) -> bool | None:
    """Whether an anatomy reaches the slices; `extents` are [k0, k1) of those that the mask shows.

    None where no anatomy of the sentence is shown, which tells nothing.
    """
    shown = [extents[one] for one in anatomies if one in extents]
    if place.first is None or place.last is None or not shown:
        return None
    low, high = sorted((place.first, place.last))
    return any(k0 <= high and low < k1 for k0, k1 in shown)
