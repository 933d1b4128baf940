"""Stacks of too few slices, with what sets them apart from the rest of the series."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.ingest.volume.attributes import ATTRIBUTES, conflicting, stated
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.stacks.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.ingest.dicom.slice_header import SliceHeader


def fragments_named(found: Sequence[Stack], headers: Sequence[SliceHeader]) -> list[Stack]:
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
