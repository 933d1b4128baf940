from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from series import AXIAL, Series

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.volume.geometry import (
    Fault,
    Grid,
    SliceGeometry,
    axis_codes,
    prove,
    prove_affine,
)

CONFIG = IngestConfig(tilt="refuse")


def stack(
    heights: list[float], *, lateral: float = 0.0, uneven: bool = False
) -> list[SliceGeometry]:
    return [
        SliceGeometry(
            position_mm=(lateral * (n * n if uneven else n), 0.0, height),
            orientation=AXIAL,
            pixel_spacing_mm=(0.8, 0.7),
            rows=12,
            columns=10,
        )
        for n, height in enumerate(heights)
    ]


def reason(slices: list[SliceGeometry]) -> str:
    proof = prove(slices, CONFIG)
    assert isinstance(proof, Fault)
    assert len(proof.detail) > 20
    return proof.reason


EVEN = [0.0, 2.0, 4.0, 6.0, 8.0]


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([0.0, 2.0, 4.0, 8.0, 10.0], "missing_slices"),
        ([0.0, 2.0, 4.0, 4.0, 6.0, 8.0], "duplicate_position"),
        ([0.0, 2.0, 4.4, 6.0, 8.0], "uneven_spacing"),
        ([0.0, 0.5, 2.0, 4.0, 6.0, 8.0], "uneven_spacing"),
        ([5.0] * 6, "constant_position"),
        ([0.0, 2.0, 4.0], "too_few_slices"),
        ([0.0, 1.0, 2.0, 3.0, 50.0, 51.0, 52.0, 53.0], "missing_slices"),
    ],
)
def test_uneven_positions_have_a_reason(heights: list[float], expected: str):
    assert reason(stack(heights)) == expected


def test_a_gap_is_told_with_its_place_and_size():
    proof = prove(stack([0.0, 2.5, 5.0, 10.0, 12.5]), CONFIG)
    assert isinstance(proof, Fault)
    assert "5.000 mm after slice 3" in proof.detail
    assert "expected 2.500 mm" in proof.detail
    assert "about 1 slice(s) missing" in proof.detail


def test_even_sideways_shift_is_a_tilted_gantry():
    slices = stack(EVEN, lateral=2 * math.tan(math.radians(15)))
    assert reason(slices) == "gantry_tilt"
    proof = prove(slices, CONFIG)
    assert isinstance(proof, Fault)
    assert "15.0 degrees" in proof.detail


def test_uneven_sideways_shift_is_no_stack():
    assert reason(stack(EVEN, lateral=1.0, uneven=True)) == "lateral_shift"


def test_rounded_positions_are_accepted():
    heights = [round(n * 0.625, 2) for n in range(400)]
    proof = prove(stack(heights), CONFIG)
    assert isinstance(proof, Grid)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"position_mm": None}, "missing_position"),
        ({"orientation": None}, "missing_orientation"),
        ({"pixel_spacing_mm": None}, "missing_pixel_spacing"),
        ({"pixel_spacing_mm": (0.0, 0.7)}, "zero_pixel_spacing"),
        ({"pixel_spacing_mm": (0.9, 0.7)}, "mixed_pixel_spacing"),
        ({"rows": 13}, "mixed_size"),
        ({"orientation": (0.0, 1.0, 0.0, 1.0, 0.0, 0.0)}, "mixed_orientation"),
    ],
)
def test_one_odd_slice_denies_the_stack(change: dict[str, object], expected: str):
    slices = stack(EVEN)
    slices[2] = replace(slices[2], **change)  # type: ignore[arg-type]
    assert reason(slices) == expected


@pytest.mark.parametrize(
    "orientation",
    [
        (1.0, 0.0, 0.0, 0.5, 0.8660254, 0.0),
        (1.1, 0.0, 0.0, 0.0, 1.0, 0.0),
        (0.0,) * 6,
        (1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    ],
)
def test_directions_must_be_orthonormal(orientation: tuple[float, ...]):
    slices = [replace(one, orientation=orientation) for one in stack(EVEN)]
    assert reason(slices) == "not_orthonormal"


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    a, b, c = angles
    about_z = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(c), -math.sin(c)], [0, math.sin(c), math.cos(c)]])
    return about_z @ about_y @ about_x


angle = st.floats(-math.pi, math.pi)
spacing = st.floats(0.2, 8.0)


@given(
    angles=st.tuples(angle, angle, angle),
    pixel=st.tuples(spacing, spacing),
    step=spacing,
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    order=st.permutations(range(7)),
    decimals=st.sampled_from([6, 9]),
)
def test_affine_is_the_formula_of_the_standard(
    angles: tuple[float, float, float],
    pixel: tuple[float, float],
    step: float,
    origin: tuple[float, float, float],
    order: list[int],
    decimals: int,
):
    turned = rotation(angles)
    orientation = tuple(np.round(turned[:, :2].T.ravel(), decimals).tolist())
    positions = [np.round(origin + n * step * turned[:, 2], decimals) for n in range(7)]
    slices = [SliceGeometry(tuple(positions[n].tolist()), orientation, pixel, 11, 9) for n in order]
    grid = prove(slices, CONFIG)
    assert isinstance(grid, Grid)
    assert [order[n] for n in grid.order] == list(range(7))
    assert grid.shape == (9, 11, 7)
    np.testing.assert_allclose(grid.spacing_mm, (pixel[1], pixel[0], step), atol=1e-4)
    for i, j, k in [(0, 0, 0), (8, 0, 0), (0, 10, 0), (0, 0, 6), (3, 4, 5)]:
        # PS3.3 C.7.6.2.1.1: position + row direction x column spacing x i + ...
        x, y = np.array(orientation[:3]), np.array(orientation[3:])
        lps = positions[k] + x * pixel[1] * i + y * pixel[0] * j
        ras = grid.affine_ras @ (i, j, k, 1)
        np.testing.assert_allclose(ras[:3], lps * (-1, -1, 1), atol=2e-3)


def test_axial_slices_run_to_left_posterior_superior_whatever_the_file_order():
    for heights in (EVEN, EVEN[::-1]):
        grid = prove(stack(heights), CONFIG)
        assert isinstance(grid, Grid)
        assert axis_codes(grid.affine_ras) == "LPS"
        assert grid.affine_ras[2, 2] == 2.0


@pytest.mark.parametrize(
    ("orientation", "codes"),
    [
        ((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "RAS"),  # prone
        ((-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "RPI"),  # feet first
        ((0.0, 1.0, 0.0, 0.0, 0.0, -1.0), "PIR"),  # sagittal
        ((1.0, 0.0, 0.0, 0.0, 0.0, -1.0), "LIP"),  # coronal
        ((0.9, 0.43589, 0.0, -0.43589, 0.9, 0.0), "LPS"),  # oblique
    ],
)
def test_orientation_codes(orientation: tuple[float, ...], codes: str):
    series = Series(orientation=orientation)
    slices = [
        SliceGeometry(tuple(series.position(n).tolist()), orientation, (1.0, 1.0), 8, 8)
        for n in range(6)
    ]
    grid = prove(slices, CONFIG)
    assert isinstance(grid, Grid)
    assert axis_codes(grid.affine_ras) == codes


def test_affines_with_shear_or_an_empty_axis_are_refused():
    sheared = np.eye(4)
    sheared[0, 2] = 0.2
    empty = np.diag([1.0, 0.0, 1.0, 1.0])
    broken = np.full((4, 4), np.nan)
    found = [prove_affine(affine, CONFIG) for affine in (sheared, empty, broken, np.eye(4))]
    assert [fault.reason if fault else "" for fault in found] == [
        "sheared_affine",
        "singular_affine",
        "singular_affine",
        "",
    ]
