"""Stacks that are parts of one scan, put together or refused."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from fvlm_data.ingest.volume.attributes import Attribute
from fvlm_data.ingest.volume.geometry import Fault, Grid
from fvlm_data.ingest.volume.stacks.header_differences import checked, varying_attributes
from fvlm_data.ingest.volume.stacks.one_scan import alike, is_one_scan
from fvlm_data.ingest.volume.stacks.stack import Stack, proof_of
from fvlm_data.ingest.volume.turned import mixed_orientation, turned_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.dicom.slice_header import SliceHeader

MOST_STACKS = 200
"""Above this many stacks of one orientation they are not compared in pairs."""


def joined(
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
        if is_one_scan([found[one] for one in pair], headers, config)
    ]
    made: list[Stack] = []
    for group in _connected(len(found), pairs):
        if len(group) == 1:
            made.append(found[group[0]])
            continue
        members = tuple(sorted(one for place in group for one in found[place].members))
        whole = Stack(members, proof_of(members, alike(members, headers), config))
        if isinstance(whole.proof, Grid):
            made.append(checked(whole, headers))
        else:
            mine = [headers[one] for one in members]
            made.append(Stack(members, _ambiguous(varying_attributes(members, headers), mine)))
    return made


def without_turned(
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


def _connected(count: int, pairs: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Groups of places that pairs connect."""
    group = list(range(count))
    for one, other in pairs:
        old, new = group[other], group[one]
        group = [new if now == old else now for now in group]
    return [[n for n in range(count) if group[n] == name] for name in sorted(set(group))]
