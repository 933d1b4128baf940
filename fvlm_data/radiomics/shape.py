"""Morphological features (IBSI 3.1) of a region."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.radiomics.surface import surface_of, vertices_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.radiomics.statistics import Features

Array = np.ndarray[Any, Any]

UNITS = {
    "volume_mesh": "mm3", "volume_voxels": "mm3", "surface_area": "mm2",
    "surface_to_volume_ratio": "/mm", "centre_of_mass_shift": "mm", "maximum_diameter": "mm",
    "major_axis_length": "mm", "minor_axis_length": "mm", "least_axis_length": "mm",
}  # fmt: skip
"""Units of the features that have one."""


def shape(mask: Array, values: Array, spacing_mm: Sequence[float]) -> Features:
    """Features of a bool mask (i, j, k) with one voxel at least, and its intensities (n,).

    `values` are in the order of `mask`'s voxels.
    """
    surface = surface_of(mask, spacing_mm)
    area, volume = surface.area_mm2, surface.volume_mm3
    sphere = (36 * math.pi * volume**2) ** (1 / 3)
    at = np.argwhere(mask) * np.asarray(spacing_mm, float)
    return {
        "volume_mesh": volume,
        "volume_voxels": len(at) * float(np.prod(spacing_mm)),
        "surface_area": area,
        "surface_to_volume_ratio": area / volume,
        "compactness_1": volume / (math.sqrt(math.pi) * area**1.5),
        "compactness_2": 36 * math.pi * volume**2 / area**3,
        "spherical_disproportion": area / sphere,
        "sphericity": sphere / area,
        "asphericity": (area**3 / (36 * math.pi * volume**2)) ** (1 / 3) - 1,
        "centre_of_mass_shift": _shift(at, values),
        "maximum_diameter": _diameter(vertices_of(mask, spacing_mm)),
        **_axes(at),
    }


def _shift(at: Array, values: Array) -> float | None:
    """From the centre of the voxels to that of their intensities.

    None where the sum of HU is 0 or below: weights of both signs have no centre.
    """
    weights = np.asarray(values, np.float64)
    if weights.sum() <= 0 or (weights < 0).any():
        return None
    return float(np.linalg.norm(at.mean(axis=0) - weights @ at / weights.sum()))


def _diameter(vertices: Array) -> float:
    """Greatest distance between two vertices."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    hull = vertices[ConvexHull(vertices).vertices]
    return float(pdist(hull).max())


def _axes(at: Array) -> Features:
    """Axes of the ellipsoid by principal components of the voxels' places."""
    values = np.linalg.eigvalsh(np.cov(at.T)) if len(at) > 1 else np.zeros(3)
    least, minor, major = (4 * math.sqrt(max(float(one), 0.0)) for one in values)
    return {
        "major_axis_length": major,
        "minor_axis_length": minor,
        "least_axis_length": least,
        "elongation": minor / major if major else None,
        "flatness": least / major if major else None,
    }
