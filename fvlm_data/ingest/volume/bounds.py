"""Bounds of voxel sizes and extents: another unit, a lost decimal point, no scan of a body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.ingest.config import IngestConfig


def check_bounds(
    shape: Sequence[int], spacing_mm: Sequence[float], config: IngestConfig
) -> Fault | None:
    """Refuse a volume whose spacing or extent along i, j, k no CT of a body has.

    Which axis runs through the slices is not asked: the largest spacing may be that between slices,
    the largest extent that along the body. Reasons: `implausible_spacing`, `implausible_extent`.
    """
    told = " x ".join(f"{value:g}" for value in spacing_mm)
    finest, middle, coarsest = sorted(spacing_mm)
    # `not <=` rather than `>`, so that NaN is refused
    if not (
        finest >= config.min_spacing_mm
        and middle <= config.max_pixel_mm
        and coarsest <= config.max_slice_distance_mm
    ):
        return Fault(
            "implausible_spacing",
            f"voxels of {told} mm, expected at least {config.min_spacing_mm:g} mm, at most "
            f"{config.max_pixel_mm:g} mm within slices and {config.max_slice_distance_mm:g} mm "
            "between them: another unit, or no CT; correct it, or set the limits in section ingest",
        )
    extents = [count * spacing for count, spacing in zip(shape, spacing_mm, strict=True)]
    least, width, length = sorted(extents)
    if not (
        least >= config.min_extent_mm
        and width <= config.max_width_mm
        and length <= config.max_length_mm
    ):
        told = " x ".join(f"{extent:.1f}" for extent in extents)
        return Fault(
            "implausible_extent",
            f"a volume of {told} mm, expected at least {config.min_extent_mm:g} mm along each "
            f"axis, at most {config.max_length_mm:g} mm along one and {config.max_width_mm:g} mm "
            "along the others: another unit, or no scan of a body; correct it, or set the limits "
            "in section ingest",
        )
    return None
