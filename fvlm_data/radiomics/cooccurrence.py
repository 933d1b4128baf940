"""Features of the grey level co-occurrence matrix (IBSI 3.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.radiomics.neighbours import padded, pairs

if TYPE_CHECKING:
    from fvlm_data.radiomics.statistics import Features

Array = np.ndarray[Any, Any]


def matrices(levels: Array) -> list[Array]:
    """Symmetric matrices (N, N) of the 13 directions; `levels` (i, j, k) from 1, 0 outside.

    N is the greatest level; counts, not probabilities.
    """
    bordered = padded(levels)
    flat, n = bordered.ravel().astype(np.int64), int(levels.max())
    made = []
    for here, there in pairs(bordered):
        counts = np.bincount((flat[here] - 1) * n + flat[there] - 1, minlength=n * n)
        counts = counts.reshape(n, n)
        made.append(counts + counts.T)
    return made


def glcm(levels: Array) -> Features:
    """Features of all directions merged into one matrix (IBSI: 3D, merged)."""
    return of_matrix(np.sum(matrices(levels), axis=0))


def of_matrix(counts: Array) -> Features:
    """Features of one matrix of counts (N, N); all None where there is no pair of voxels."""
    if not counts.sum():
        return dict.fromkeys(NAMES)
    p = counts / counts.sum()
    n = len(p)
    i, j = np.meshgrid(np.arange(1, n + 1), np.arange(1, n + 1), indexing="ij")
    marginal = p.sum(axis=1)
    mean = float((marginal * np.arange(1, n + 1)).sum())
    variance = float((marginal * (np.arange(1, n + 1) - mean) ** 2).sum())
    away, summed = np.abs(i - j), i + j
    difference = np.bincount(away.ravel(), p.ravel(), n)
    total = np.bincount(summed.ravel(), p.ravel(), 2 * n + 1)
    at_d, at_s = np.arange(n), np.arange(2 * n + 1)
    average_d, average_s = float(difference @ at_d), float(total @ at_s)
    correlation = float((p * i * j).sum() - mean**2) / variance if variance else 1.0
    far = away > 0
    return {
        "joint_maximum": float(p.max()),
        "joint_average": mean,
        "joint_variance": variance,
        "joint_entropy": _entropy(p),
        "difference_average": average_d,
        "difference_variance": float(difference @ (at_d - average_d) ** 2),
        "difference_entropy": _entropy(difference),
        "sum_average": average_s,
        "sum_variance": float(total @ (at_s - average_s) ** 2),
        "sum_entropy": _entropy(total),
        "angular_second_moment": float((p**2).sum()),
        "contrast": float((p * away**2).sum()),
        "dissimilarity": float((p * away).sum()),
        "inverse_difference": float((p / (1 + away)).sum()),
        "normalised_inverse_difference": float((p / (1 + away / n)).sum()),
        "inverse_difference_moment": float((p / (1 + away**2)).sum()),
        "normalised_inverse_difference_moment": float((p / (1 + (away / n) ** 2)).sum()),
        "inverse_variance": float((p[far] / away[far] ** 2).sum()),
        "correlation": correlation,
        "autocorrelation": float((p * i * j).sum()),
        "cluster_tendency": float((p * (summed - 2 * mean) ** 2).sum()),
        "cluster_shade": float((p * (summed - 2 * mean) ** 3).sum()),
        "cluster_prominence": float((p * (summed - 2 * mean) ** 4).sum()),
        **_information(p, marginal),
    }


ROUNDING = 1e-12
"""Bits of entropy below which a difference is one of rounding."""

NAMES = (
    "joint_maximum", "joint_average", "joint_variance", "joint_entropy", "difference_average",
    "difference_variance", "difference_entropy", "sum_average", "sum_variance", "sum_entropy",
    "angular_second_moment", "contrast", "dissimilarity", "inverse_difference",
    "normalised_inverse_difference", "inverse_difference_moment",
    "normalised_inverse_difference_moment", "inverse_variance", "correlation", "autocorrelation",
    "cluster_tendency", "cluster_shade", "cluster_prominence", "information_correlation_1",
    "information_correlation_2",
)  # fmt: skip


def _information(p: Array, marginal: Array) -> Features:
    """Both measures of information correlation."""
    both = np.outer(marginal, marginal)
    joint, one = _entropy(p), _entropy(marginal)
    held = both > 0
    first = float(-(p[held] * np.log2(both[held])).sum())
    second = _entropy(both)
    lost = second - joint
    # what is left of rounding would be 10,000 times as large behind the root
    lost = lost if lost > ROUNDING else 0.0
    return {
        "information_correlation_1": (joint - first) / one if one else 0.0,
        "information_correlation_2": float(np.sqrt(1 - np.exp(-2 * lost))),
    }


def _entropy(p: Array) -> float:
    held = p[p > 0]
    return float(-(held * np.log2(held)).sum())
