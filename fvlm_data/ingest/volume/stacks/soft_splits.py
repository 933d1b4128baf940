"""Parts of a stack by time, acquisition or place, where those are what was scanned."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.attributes import normal_moment, normal_number
from fvlm_data.ingest.volume.geometry import Fault, Grid, heights_mm
from fvlm_data.ingest.volume.stacks.one_scan import far_mm, place_of
from fvlm_data.ingest.volume.stacks.stack import Stack, proof_of, split_by

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.dicom.slice_header import SliceHeader

SOFT_KEYS: tuple[Callable[[SliceHeader], tuple[Hashable, ...]], ...] = (
    lambda header: (normal_number(header.temporal_position),),
    lambda header: (normal_number(header.acquisition),),
    lambda header: (normal_number(header.temporal_position), normal_number(header.acquisition)),
    lambda header: tuple(map(normal_number, header.trigger)),
    lambda header: (normal_moment(header.acquired_at),),
    lambda header: (normal_moment(header.content_at),),
    lambda header: (normal_number(header.thickness),),
)
"""Elements, in normal form, that split a stack only if every part is a proved volume.

They are no hard criterion because some scanners increase AcquisitionNumber, or state another time,
with every rotation of a single volume.
"""


def prove_or_split(
    members: Sequence[int], headers: Sequence[SliceHeader], config: IngestConfig
) -> list[Stack]:
    """The stack as a whole, or its parts if those are what was scanned.

    Even a stack that is proved as a whole is split if its parts overlap: two time points whose
    slices interleave look like one volume of half the spacing.
    """
    whole = Stack(tuple(members), proof_of(members, headers, config))
    heights = heights_mm([headers[number].geometry for number in members])
    if heights is None:
        return [whole]
    height = dict(zip(members, heights.tolist(), strict=True))
    for soft_key in SOFT_KEYS:
        keys = {number: soft_key(headers[number]) for number in members}
        parts = split_by(members, keys.__getitem__)
        if len(parts) < 2:
            continue
        # a blank joins its neighbours where together they are a volume
        if isinstance(whole.proof, Grid) and not all(map(any, keys.values())):
            continue
        # an element that differs on a slice or two is noise, not another time point
        if min(map(len, parts)) < config.min_slices:
            continue
        places = {place_of(pair, parts, height) for pair in combinations(range(len(parts)), 2)}
        # parts that continue each other are one scan, as is a sound volume whose parts do not
        # overlap
        if "near" in places or (isinstance(whole.proof, Grid) and "over" not in places):
            continue
        tried = [Stack(tuple(part), proof_of(part, headers, config)) for part in parts]
        if all(isinstance(stack.proof, Grid) for stack in tried):
            return tried
    if isinstance(whole.proof, Fault) and whole.proof.reason == "missing_slices":
        return _ranges(members, headers, config, height) or [whole]
    if isinstance(whole.proof, Grid) and _runs_between(members, headers, height):
        return [Stack(whole.members, _two_runs(len(members)))]
    return [whole]


def _runs_between(
    members: Sequence[int], headers: Sequence[SliceHeader], height: dict[int, float]
) -> bool:
    """Whether each second slice belongs to another run of instance numbers that does not mix."""
    ordered = sorted(members, key=lambda number: height[number])
    parts = (ordered[::2], ordered[1::2])
    if len(parts[1]) < 2 or not all(_runs_on(part, headers) for part in parts):
        return False
    low, high = sorted(sorted(headers[one].instance for one in part) for part in parts)
    return low[0] >= 0 and low[-1] < high[0]


def _two_runs(slices: int) -> Fault:
    return Fault(
        "mixed_header",
        f"{slices} slices are one even grid in which each second slice belongs to another run of "
        "InstanceNumber: two scans or reconstructions that lie between each other, and no element "
        "tells them apart; expected one: export them as series of their own",
    )


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
    cuts = np.flatnonzero(distances > far_mm(float(np.median(distances)))) + 1
    parts = [part.tolist() for part in np.split(np.array(ordered), cuts)]
    if not all(_runs_on(part, headers) for part in parts):
        return []
    tried = [Stack(tuple(part), proof_of(part, headers, config)) for part in parts]
    return tried if all(isinstance(stack.proof, Grid) for stack in tried) else []


def _runs_on(part: Sequence[int], headers: Sequence[SliceHeader]) -> bool:
    """Whether the instance numbers of ordered slices count up or down by one."""
    steps = {headers[after].instance - headers[before].instance for before, after in pairwise(part)}
    return steps in ({1}, {-1})
