"""All features of one region: bands as stored, the rest on the common grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.radiomics import statistics as intensity
from fvlm_data.radiomics.cooccurrence import glcm
from fvlm_data.radiomics.grid import box_of, new_box, resampled
from fvlm_data.radiomics.runs_and_zones import glrlm, glszm
from fvlm_data.radiomics.shape import UNITS, shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.radiomics.config import RadiomicsConfig

Array = np.ndarray[Any, Any]

TEXTURES = {"glcm": glcm, "glrlm": glrlm, "glszm": glszm}


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: `unit` by UCUM, `value` None where it is not defined."""

    family: str
    name: str
    value: float | None
    unit: str = "1"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A volume for its regions: HU (i, j, k) as stored, and on the common grid, whole HU.

    Without a common grid both are one.
    """

    image_hu: Array
    spacing_mm: tuple[float, ...]
    common_hu: Array
    common_mm: tuple[float, ...]


def prepared(image_hu: Array, spacing_mm: Sequence[float], config: RadiomicsConfig) -> Prepared:
    """The volume on the grid of `config.spacing_mm`."""
    spacing = tuple(float(step) for step in spacing_mm)
    if config.spacing_mm is None:
        return Prepared(image_hu, spacing, image_hu, spacing)
    common = np.rint(resampled(image_hu, spacing, config.spacing_mm)).astype(np.int16)
    return Prepared(image_hu, spacing, common, (config.spacing_mm,) * 3)


def region_features(
    volume: Prepared, mask: Array, config: RadiomicsConfig, *, banded: bool
) -> list[Feature] | None:
    """Features of the region of a bool mask (i, j, k) on the volume's own grid, not empty.

    `banded`: whether shares of HU bands are told. None where fewer than `config.least_voxels` are
    left on the common grid, within `config.range_hu`.
    """
    box = box_of(mask)
    made: list[Feature] = []
    if banded and "bands" in config.families:
        made += [Feature("bands", *one) for one in shares(volume.image_hu[box][mask[box]],
                                                         config.bands).items()]  # fmt: skip
    region, hu = _on_common(volume, mask, box)
    low, high = config.range_hu
    kept = region & (hu >= low) & (hu <= high)
    if kept.sum() < config.least_voxels:
        return None
    levels = np.where(kept, np.floor((hu - low) / config.bin_width_hu).astype(np.int32) + 1, 0)
    made += _of_shape(volume, region, hu, config)
    made += _of_values(hu[kept], levels[kept], config)
    for family, of in TEXTURES.items():
        if family in config.families:
            made += [Feature(family, *one) for one in of(_cut(levels)).items()]
    return made


def shares(values: Array, bands: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Share of the values (n,), HU, from the first to below the second border of each band."""
    return {
        name: float(((values >= low) & (values < high)).mean())
        for name, (low, high) in bands.items()
    }


def _on_common(volume: Prepared, mask: Array, box: tuple[slice, ...]) -> tuple[Array, Array]:
    """Mask and HU of the region's box on the common grid."""
    if volume.common_hu is volume.image_hu:
        return mask[box], volume.image_hu[box]
    step = volume.common_mm[0]
    at = new_box(box, mask.shape, volume.spacing_mm, step)
    share = resampled(mask.astype(np.float32), volume.spacing_mm, step, at)
    return share >= 0.5, volume.common_hu[at]


def _cut(levels: Array) -> Array:
    return np.asarray(levels[box_of(levels > 0)])


def _of_shape(
    volume: Prepared, region: Array, hu: Array, config: RadiomicsConfig
) -> Iterator[Feature]:
    if "shape" in config.families:
        for name, value in shape(region, hu[region], volume.common_mm).items():
            yield Feature("shape", name, value, UNITS.get(name, "1"))


def _of_values(values: Array, levels: Array, config: RadiomicsConfig) -> Iterator[Feature]:
    if "statistics" in config.families:
        for name, value in intensity.statistics(values).items():
            yield Feature("statistics", name, value, intensity.unit_of(name))
    if "histogram" in config.families:
        for name, value in intensity.histogram(levels).items():
            yield Feature("histogram", name, value)
