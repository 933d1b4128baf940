"""Features of the IBSI's digital phantom, against the values that its participants agreed on.

Phantom and values: Image biomarker standardisation initiative, reference manual, arXiv:1612.07003,
chapter 5 and the benchmark tables; tolerances are those of the manual, of texture 0: equal at three
significant figures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fvlm_data.radiomics.cooccurrence import glcm, matrices, of_matrix
from fvlm_data.radiomics.runs_and_zones import RUNS, glrlm, glszm, of_pieces, runs
from fvlm_data.radiomics.shape import shape
from fvlm_data.radiomics.statistics import histogram, statistics

OUT = 0
PHANTOM_KJI = np.array([
    [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
    [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [OUT, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
    [[1, 4, 4, OUT, OUT], [1, 1, 1, 1, 1], [1, 1, OUT, 1, 1], [1, 1, 6, 1, 1]],
    [[1, 4, 4, OUT, OUT], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
])  # fmt: skip
LEVELS = PHANTOM_KJI.transpose(2, 1, 0)
MASK = LEVELS > 0
SPACING_MM = (2.0, 2.0, 2.0)


def rounded(value: float | None) -> float:
    assert value is not None
    return float(f"{value:.3g}")


def agree(found: dict[str, Any], expected: dict[str, float]) -> dict[str, Any]:
    """What differs: by name what was found and what the manual has."""
    return {
        name: (found[name], value) for name, value in expected.items()
        if rounded(found[name]) != value
    }  # fmt: skip


def test_the_phantom_is_the_published_one():
    assert MASK.sum() == 74
    assert LEVELS.shape == (5, 4, 4)
    assert np.bincount(LEVELS[MASK]).tolist() == [0, 50, 0, 1, 16, 0, 7]


def test_shape():
    found = shape(MASK, LEVELS[MASK], SPACING_MM)
    expected = {
        "volume_mesh": (556, 4), "volume_voxels": (592, 4), "surface_area": (388, 3),
        "surface_to_volume_ratio": (0.698, 0.004), "compactness_1": (0.0411, 0.0003),
        "compactness_2": (0.599, 0.004), "spherical_disproportion": (1.19, 0.01),
        "sphericity": (0.843, 0.005), "asphericity": (0.186, 0.001),
        "centre_of_mass_shift": (0.672, 0.004), "maximum_diameter": (13.1, 0.1),
        "major_axis_length": (11.4, 0.1), "minor_axis_length": (9.31, 0.06),
        "least_axis_length": (8.54, 0.05), "elongation": (0.816, 0.005), "flatness": (0.749, 0.005),
    }  # fmt: skip
    assert found.keys() == expected.keys()
    wrong = {
        name: (found[name], value)
        for name, (value, tolerance) in expected.items()
        if abs(rounded(found[name]) - value) > tolerance * 1.0001
    }
    assert wrong == {}


def test_statistics():
    expected = {
        "mean": 2.15, "variance": 3.05, "skewness": 1.08, "excess_kurtosis": -0.355, "median": 1,
        "minimum": 1, "percentile_10": 1, "percentile_90": 4, "maximum": 6,
        "interquartile_range": 3, "range": 5, "mean_absolute_deviation": 1.55,
        "robust_mean_absolute_deviation": 1.11, "median_absolute_deviation": 1.15,
        "coefficient_of_variation": 0.812, "quartile_coefficient_of_dispersion": 0.6,
        "energy": 567, "root_mean_square": 2.77,
    }  # fmt: skip
    found = statistics(LEVELS[MASK])
    assert found.keys() == expected.keys()
    assert agree(found, expected) == {}


def test_histogram():
    expected = {"mean": 2.15, "variance": 3.05, "mode": 1, "entropy": 1.27, "uniformity": 0.512}
    found = histogram(LEVELS[MASK])
    assert found.keys() == expected.keys()
    assert agree(found, expected) == {}


GLCM_NAMES = (
    "joint_maximum", "joint_average", "joint_variance", "joint_entropy", "difference_average",
    "difference_variance", "difference_entropy", "sum_average", "sum_variance", "sum_entropy",
    "angular_second_moment", "contrast", "dissimilarity", "inverse_difference",
    "normalised_inverse_difference", "inverse_difference_moment",
    "normalised_inverse_difference_moment", "inverse_variance", "correlation", "autocorrelation",
    "cluster_tendency", "cluster_shade", "cluster_prominence", "information_correlation_1",
    "information_correlation_2",
)  # fmt: skip
GLCM_MERGED = (
    0.509, 2.15, 3.13, 2.57, 1.38, 3.21, 1.64, 4.3, 7.41, 2.11, 0.291, 5.12, 1.38, 0.688, 0.856,
    0.631, 0.902, 0.0574, 0.183, 5.19, 7.41, 17.4, 147, -0.0288, 0.269,
)  # fmt: skip
GLCM_AVERAGED = (
    0.503, 2.14, 3.1, 2.4, 1.43, 3.06, 1.56, 4.29, 7.07, 1.92, 0.303, 5.32, 1.43, 0.677, 0.851,
    0.618, 0.898, 0.0604, 0.157, 5.06, 7.07, 16.6, 145, -0.157, 0.52,
)  # fmt: skip


def averaged(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.mean([one[name] for one in found]) for name in found[0]}


def test_glcm():
    found = glcm(LEVELS)
    assert found.keys() == set(GLCM_NAMES)
    assert agree(found, dict(zip(GLCM_NAMES, GLCM_MERGED, strict=True))) == {}
    by_direction = averaged([of_matrix(one) for one in matrices(LEVELS)])
    assert agree(by_direction, dict(zip(GLCM_NAMES, GLCM_AVERAGED, strict=True))) == {}


GLRLM_NAMES = (
    "short_runs_emphasis", "long_runs_emphasis", "low_grey_level_run_emphasis",
    "high_grey_level_run_emphasis", "short_runs_low_grey_level_emphasis",
    "short_runs_high_grey_level_emphasis", "long_runs_low_grey_level_emphasis",
    "long_runs_high_grey_level_emphasis", "grey_level_non_uniformity",
    "normalised_grey_level_non_uniformity", "run_length_non_uniformity",
    "normalised_run_length_non_uniformity", "run_percentage", "grey_level_variance",
    "run_length_variance", "run_entropy",
)  # fmt: skip
GLRLM_MERGED = (
    0.729, 2.76, 0.607, 9.64, 0.372, 8.67, 2.16, 15.6, 281, 0.43, 328, 0.501, 0.68, 3.48, 0.598,
    2.62,
)  # fmt: skip
GLRLM_AVERAGED = (
    0.705, 3.06, 0.603, 9.7, 0.352, 8.54, 2.39, 17.6, 21.8, 0.43, 26.9, 0.513, 0.68, 3.46, 0.574,
    2.43,
)  # fmt: skip


def test_glrlm():
    found = glrlm(LEVELS)
    assert found.keys() == set(GLRLM_NAMES)
    assert agree(found, dict(zip(GLRLM_NAMES, GLRLM_MERGED, strict=True))) == {}
    by_direction = averaged([of_pieces(*one, 74, RUNS) for one in runs(LEVELS)])
    assert agree(by_direction, dict(zip(GLRLM_NAMES, GLRLM_AVERAGED, strict=True))) == {}


def test_glszm():
    expected = (
        0.255, 550, 0.253, 15.6, 0.0256, 2.76, 503, 1490, 1.4, 0.28, 1, 0.2, 0.0676, 2.64, 331,
        2.32,
    )  # fmt: skip
    names = (
        "small_zones_emphasis", "large_zones_emphasis", "low_grey_level_zone_emphasis",
        "high_grey_level_zone_emphasis", "small_zones_low_grey_level_emphasis",
        "small_zones_high_grey_level_emphasis", "large_zones_low_grey_level_emphasis",
        "large_zones_high_grey_level_emphasis", "grey_level_non_uniformity",
        "normalised_grey_level_non_uniformity", "zone_size_non_uniformity",
        "normalised_zone_size_non_uniformity", "zone_percentage", "grey_level_variance",
        "zone_size_variance", "zone_entropy",
    )  # fmt: skip
    found = glszm(LEVELS)
    assert found.keys() == set(names)
    assert agree(found, dict(zip(names, expected, strict=True))) == {}


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 1, 0)])
def test_turning_the_phantom_changes_nothing(axes: tuple[int, int, int]):
    turned = LEVELS.transpose(axes)[::-1]
    for family in (glcm, glrlm, glszm):
        assert family(turned) == pytest.approx(family(LEVELS))
    turned_shape = shape(turned > 0, turned[turned > 0], SPACING_MM)
    there = shape(MASK, LEVELS[MASK], SPACING_MM)
    # the two ways of cutting a saddle in triangles differ a little
    assert turned_shape == pytest.approx(there, rel=0.01)
