"""Whether slices whose headers differ are one scan or two."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.attributes import Attribute, conflicting, normal_number
from fvlm_data.ingest.volume.geometry import GAP_FACTOR, Grid, SliceGeometry, heights_mm
from fvlm_data.ingest.volume.stacks.header_differences import varying_attributes
from fvlm_data.ingest.volume.stacks.stack import Stack, proof_of, split_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.dicom.slice_header import SliceHeader

FAR_STEPS = 5

FAR_MM = 20.0
"""Two ranges along the normal are separate scans only if they are this many steps and mm apart."""


def apart(
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
    parts = split_by(members, lambda one: tuple(a.value(headers[one]) for a in telling))
    if heights is None or len(parts) < 2 or min(map(len, parts)) < config.min_slices:
        return False
    height = dict(zip(members, heights.tolist(), strict=True))
    acquired = _own_values(parts, headers)
    if any(place_of(pair, parts, height) == "over" for pair in combinations(range(len(parts)), 2)):
        return acquired or _own_runs(parts, headers)
    return bool(clashing) and acquired and all(a.technique for a in clashing)


def _own_values(parts: Sequence[Sequence[int]], headers: Sequence[SliceHeader]) -> bool:
    """Whether each part has an acquisition number or temporal position of its own."""
    for keyword in ("acquisition", "temporal_position"):
        values = [{normal_number(getattr(headers[one], keyword)) for one in part} for part in parts]
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


def alike(members: Sequence[int], headers: Sequence[SliceHeader]) -> Sequence[SliceHeader]:
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


def is_one_scan(
    pair: Sequence[Stack], headers: Sequence[SliceHeader], config: IngestConfig
) -> bool:
    """Whether two stacks, whose headers differ somewhere, together are one even grid."""
    one, other = ([headers[n].geometry for n in stack.members] for stack in pair)
    members = tuple(sorted((*pair[0].members, *pair[1].members)))
    varying = varying_attributes(members, headers)
    if not varying or not _may_be_even(one + other):
        return False
    proof = proof_of(members, alike(members, headers), config)
    return isinstance(proof, Grid) and not apart(members, headers, varying, config)


def _may_be_even(geometries: Sequence[SliceGeometry]) -> bool:
    """Whether places on the normal could be those of one scan; much faster than the proof."""
    heights = heights_mm(geometries)
    if heights is None or len(heights) < 2:
        return False
    distances = np.diff(np.sort(heights))
    return bool(distances.max() <= GAP_FACTOR * max(float(np.median(distances)), 1e-6))


def place_of(pair: tuple[int, ...], parts: list[list[int]], height: dict[int, float]) -> str:
    """Whether two parts lie `over` each other, `far` apart, or `near` (side by side)."""
    (low_a, high_a, step_a), (low_b, high_b, step_b) = (
        _extent([height[number] for number in parts[one]]) for one in pair
    )
    between = max(low_a, low_b) - min(high_a, high_b)
    if between > far_mm(max(step_a, step_b)):
        return "far"
    shorter = min(high_a - low_a, high_b - low_b)
    return "over" if between < -shorter / 2 else "near"


def _extent(heights: list[float]) -> tuple[float, float, float]:
    low, high = min(heights), max(heights)
    return low, high, (high - low) / max(1, len(heights) - 1)


def far_mm(step_mm: float) -> float:
    """From which distance on two ranges of this step are separate scans, mm."""
    return max(FAR_MM, FAR_STEPS * step_mm)
