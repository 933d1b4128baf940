"""What a trap series should become, compared voxel by voxel in patient coordinates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from series import Series

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
AIR_HU = -1000
LEAST_HU = -1024


@dataclass(frozen=True)
class Truth:
    """HU (k, j, i) and where they lie: `affine_lps` maps (i, j, k, 1) to LPS mm, sheared or not."""

    image_zyx: NDArray[Any]
    affine_lps: NDArray[np.float64]
    tolerance_hu: int = 0

    @property
    def sheared(self) -> bool:
        axes = self.affine_lps[:3, :3] / np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(np.abs(axes.T @ axes - np.eye(3)).max()) > 1e-3


@dataclass(frozen=True)
class Expected:
    """The volumes that are right, and how many files are set aside, by `kind:reason`."""

    volumes: tuple[Truth, ...] = ()
    aside: dict[str, int] = field(default_factory=dict)


def truth(series: Series, step_mm: NDArray[np.float64] | None = None, tolerance: int = 0) -> Truth:
    """What a series holds; `step_mm` is the way from slice to slice where it is no normal."""
    affine = np.eye(4)
    between_rows, between_columns = series.pixel_spacing_mm
    affine[:3, 0] = np.array(series.orientation[:3]) * between_columns
    affine[:3, 1] = np.array(series.orientation[3:]) * between_rows
    affine[:3, 2] = series.normal() * series.step_mm if step_mm is None else step_mm
    affine[:3, 3] = series.position(0)
    return Truth(series.image_hu(), affine, tolerance)


def differs(
    image_ijk: NDArray[Any], affine_ras: NDArray[np.float64], right: Truth, *, lenient: bool = False
) -> str:
    """How a volume differs from what is right; an empty text where it does not.

    Every voxel is sought by its place: flips and the order of axes play no part. `lenient` lets
    another interpolation of a sheared volume pass, and padding that was left as it is.
    """
    if lenient:
        image_ijk = np.maximum(image_ijk, LEAST_HU)
        right = replace(right, image_zyx=np.maximum(right.image_zyx, LEAST_HU))
    indices = np.indices(image_ijk.shape[:3]).reshape(3, -1)
    places = RAS_TO_LPS @ affine_ras @ np.vstack([indices, np.ones(indices.shape[1])])
    found = (np.linalg.inv(right.affine_lps) @ places)[:3]
    limits = np.array(right.image_zyx.shape[::-1])[:, None] - 1
    near = 0.02
    inside = ((found > -near) & (found < limits + near)).all(axis=0)
    exact = not right.sheared
    if exact and (image_ijk.size != right.image_zyx.size or not inside.all()):
        return f"{inside.sum()} of {image_ijk.size} voxels inside, expected {right.image_zyx.size}"
    if inside.sum() < 0.8 * right.image_zyx.size:
        return f"only {inside.sum()} of {right.image_zyx.size} voxels are there"
    at = np.rint(found) if exact else found
    at = np.clip(at, 0, limits)
    values = map_coordinates(right.image_zyx.astype(float), at[::-1], order=1)
    away = np.abs(values - image_ijk.reshape(-1))[inside]
    if lenient and not exact:
        return "" if np.mean(away > 100) < 0.1 else f"{np.mean(away > 100):.0%} of voxels differ"
    allowed = right.tolerance_hu if exact else 1
    if away.max() > allowed:
        return f"voxels differ by up to {away.max():g} HU"
    outside = image_ijk.reshape(-1)[~inside]
    return "" if outside.size == 0 or outside.max() <= AIR_HU else "tissue outside the slices"


def unmatched(
    volumes: list[tuple[NDArray[Any], NDArray[np.float64]]],
    right: tuple[Truth, ...],
    *,
    lenient: bool = False,
) -> str:
    """Whether volumes are, one by one and in any order, what is right; else how they are not."""
    left = list(volumes)
    for one in right:
        told = [differs(image, affine, one, lenient=lenient) for image, affine in left]
        if "" not in told:
            return f"one of {len(right)} volumes is not there: {told}"
        left.pop(told.index(""))
    return f"{len(left)} volume(s) too many" if left else ""
