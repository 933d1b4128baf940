from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.hounsfield import StoredValues, check_header, to_hu

STORED = StoredValues(
    slope=1.0,
    intercept=-1024.0,
    rescale_type="HU",
    photometric="MONOCHROME2",
    samples=1,
    frames=1,
    bits_stored=12,
    high_bit=11,
    signed=False,
    padding=None,
)


def hu(pixels: list[int], dtype: str = "uint16", **changes: Any) -> list[int]:
    found = to_hu(np.array([pixels], dtype=dtype), replace(STORED, **changes))
    assert not isinstance(found, Fault), found
    assert found.image_hu.dtype == np.int16
    return found.image_hu[0].tolist()


def refusal(pixels: list[int], dtype: str = "uint16", **changes: Any) -> str:
    found = to_hu(np.array([pixels], dtype=dtype), replace(STORED, **changes))
    assert isinstance(found, Fault)
    return found.reason


def test_slope_and_intercept():
    assert hu([0, 1024, 4095]) == [-1024, 0, 3071]
    assert hu([0, 100], slope=2.5, intercept=-1000.4) == [-1000, -750]
    assert hu([8192 + 40], bits_stored=16, intercept=-8192.0) == [40]


def test_signed_values():
    assert hu([-1000, 40], "int16", signed=True, intercept=0.0) == [-1000, 40]


def test_sign_is_extended_where_the_writer_left_the_upper_bits_empty():
    assert hu([4096 - 1000, 40], "int16", signed=True, intercept=0.0) == [-1000, 40]


def test_values_beyond_the_bits_stored_are_refused():
    assert refusal([0, 5000]) == "values_beyond_bits_stored"
    assert refusal([-3000, 40], "int16", signed=True) == "values_beyond_bits_stored"


def test_padding_becomes_air_even_beyond_the_bits_stored():
    assert hu([63536, 1064], padding=(63536, 63536)) == [-1024, 40]
    assert hu([-2000, 40], "int16", signed=True, intercept=0.0, padding=(-2000, -2000)) == [
        -1024,
        40,
    ]
    assert hu([-3000, -2500, 40], "int16", signed=True, intercept=0.0, padding=(-3024, -2000)) == [
        -1024,
        -1024,
        40,
    ]


def test_padding_that_stands_for_tissue_is_refused_only_where_it_occurs():
    assert refusal([0, 40], "int16", signed=True, intercept=0.0, padding=(0, 0)) == (
        "padding_within_tissue"
    )
    assert hu([1, 40], "int16", signed=True, intercept=0.0, padding=(0, 0)) == [1, 40]


def test_values_outside_int16_are_refused_never_wrapped():
    assert refusal([4095], slope=10.0) == "hu_out_of_range"
    assert refusal([0], intercept=-40000.5) == "hu_out_of_range"


@given(
    st.lists(st.integers(0, 4095), min_size=1, max_size=20),
    st.floats(0.1, 7.0).map(lambda value: round(value, 3)),
    st.floats(-2000, 100).map(lambda value: round(value, 2)),
)
def test_hu_is_within_half_of_the_formula(pixels: list[int], slope: float, intercept: float):
    found = hu(pixels, slope=slope, intercept=intercept)
    expected = np.array(pixels) * slope + intercept
    assert np.abs(np.array(found) - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"slope": None}, "missing_rescale"),
        ({"intercept": None}, "missing_rescale"),
        ({"slope": 0.0}, "bad_rescale"),
        ({"rescale_type": "MGML"}, "rescale_not_hu"),
        ({"photometric": "PALETTE COLOR"}, "not_monochrome"),
        ({"photometric": "RGB", "samples": 3}, "colour_image"),
        ({"frames": 4}, "multiframe"),
        ({"high_bit": 15}, "high_bit"),
    ],
)
def test_headers_that_deny_hu(change: dict[str, Any], reason: str):
    fault = check_header(replace(STORED, **change))
    assert fault is not None
    assert fault.reason == reason


def test_a_sound_header_passes():
    assert check_header(STORED) is None
