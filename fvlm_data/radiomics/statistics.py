"""Intensity-based statistics (IBSI 3.3) and the intensity histogram (IBSI 3.4) of a region."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Features = dict[str, float | None]


def statistics(values: Array) -> Features:
    """Statistics of intensities (n,), HU, of at least one voxel; moments are those of a population.

    What divides by a spread or mean of 0 is 0 (skewness, kurtosis), or None.
    """
    x = np.asarray(values, np.float64)
    mean, variance = float(x.mean()), float(x.var())
    p10, p25, median, p75, p90 = (float(one) for one in np.percentile(x, [10, 25, 50, 75, 90]))
    robust = x[(x >= p10) & (x <= p90)]
    energy = float((x**2).sum())
    centred = x - mean
    return {
        "mean": mean,
        "variance": variance,
        "skewness": float((centred**3).mean() / variance**1.5) if variance else 0.0,
        "excess_kurtosis": float((centred**4).mean() / variance**2) - 3.0 if variance else 0.0,
        "median": median,
        "minimum": float(x.min()),
        "percentile_10": p10,
        "percentile_90": p90,
        "maximum": float(x.max()),
        "interquartile_range": p75 - p25,
        "range": float(np.ptp(x)),
        "mean_absolute_deviation": float(np.abs(centred).mean()),
        "robust_mean_absolute_deviation": float(np.abs(robust - robust.mean()).mean()),
        "median_absolute_deviation": float(np.abs(x - median).mean()),
        "coefficient_of_variation": variance**0.5 / mean if mean else None,
        "quartile_coefficient_of_dispersion": (p75 - p25) / (p75 + p25) if p75 + p25 else None,
        "energy": energy,
        "root_mean_square": (energy / len(x)) ** 0.5,
    }


IN_HU2 = frozenset({"variance", "energy"})
WITHOUT_UNIT = frozenset({
    "skewness", "excess_kurtosis", "coefficient_of_variation", "quartile_coefficient_of_dispersion",
})  # fmt: skip


def unit_of(feature: str) -> str:
    """Unit of one of the statistics of a CT."""
    if feature in WITHOUT_UNIT:
        return "1"
    return "[hnsf'U]2" if feature in IN_HU2 else "[hnsf'U]"


def histogram(levels: Array) -> Features:
    """Features of discretised intensities (n,), whole numbers from 1."""
    counts = np.bincount(levels)[1:]
    p = counts[counts > 0] / len(levels)
    return {
        "mean": float(levels.mean()),
        "variance": float(levels.var()),
        "mode": float(np.argmax(counts) + 1),
        "entropy": float(-(p * np.log2(p)).sum()),
        "uniformity": float((p**2).sum()),
    }
