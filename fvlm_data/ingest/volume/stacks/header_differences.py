"""What the headers of one scan differ in: written down, or refused where they contradict."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.ingest.volume.attributes import ATTRIBUTES, Attribute, conflicting
from fvlm_data.ingest.volume.geometry import Fault, Grid
from fvlm_data.ingest.volume.stacks.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fvlm_data.ingest.dicom.slice_header import SliceHeader


def varying_attributes(members: Iterable[int], headers: Sequence[SliceHeader]) -> list[Attribute]:
    """Elements of which slices have several values, blank being one."""
    mine = [headers[one] for one in members]
    return [a for a in ATTRIBUTES if len({a.value(header) for header in mine}) > 1]


def checked(stack: Stack, headers: Sequence[SliceHeader]) -> Stack:
    """A proved stack with what its headers differ in; a fault where they contradict each other."""
    varying = varying_attributes(stack.members, headers)
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
