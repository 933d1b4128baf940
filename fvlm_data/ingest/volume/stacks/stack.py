"""A stack: slices of one series that belong together, and what geometry says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.ingest.volume.geometry import Fault, Grid, prove

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.dicom.slice_header import SliceHeader


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices (by their number in the series) that belong together, and what geometry says.

    `joined_over` names the elements that are blank or spelt in several ways on the slices of one
    scan, each with the number of slices that differ from most.
    """

    members: tuple[int, ...]
    proof: Grid | Fault
    joined_over: tuple[tuple[str, int], ...] = ()


def proof_of(
    members: Sequence[int], headers: Sequence[SliceHeader], config: IngestConfig
) -> Grid | Fault:
    """What geometry says of slices, given by their numbers in the series."""
    return prove([headers[number].geometry for number in members], config)


def split_by(members: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    """Members by key, parts in the order of their keys, so that file order plays no part."""
    parts: dict[Hashable, list[int]] = {}
    for member in members:
        parts.setdefault(key(member), []).append(member)
    return [parts[name] for name in sorted(parts, key=repr)]
