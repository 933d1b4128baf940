"""Sizes that no CT of a body has are set aside; the limits are settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from series import Series, write
from test_sources import chest, save

from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.volume.bounds import check_bounds

if TYPE_CHECKING:
    from conftest import Ingested


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"pixel_spacing_mm": (0.0007, 0.0007)}, "implausible_spacing"),
        ({"pixel_spacing_mm": (0.0007, 0.0007), "step_mm": 0.0625}, "implausible_spacing"),
        ({"pixel_spacing_mm": (18, 18)}, "implausible_spacing"),
        ({"pixel_spacing_mm": (25, 25)}, "implausible_pixel_spacing"),
        ({"step_mm": 60}, "implausible_spacing"),
        ({"step_mm": 0.06}, "implausible_extent"),
    ],
)
def test_a_dicom_series_of_no_plausible_size(
    ingested: Ingested, tmp_path: Path, changed: dict[str, Any], reason: str
):
    write(replace(Series(), **changed).datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {f"fault:{reason}": 6}
    ingested.check_conserved()


@pytest.mark.parametrize("times", [0.001, 10.0])
def test_a_nifti_in_another_unit(ingested: Ingested, tmp_path: Path, times: float):
    save(tmp_path / "in" / "a.nii.gz", chest(), np.diag([times, times, 2.5 * times, 1.0]))
    ingested.run(SourceConfig(kind="nifti", path=tmp_path / "in", name="tree"))
    assert ingested.reasons() == {"fault:implausible_spacing": 1}


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [
        ((512, 512, 300), (0.7, 0.7, 1.0)),
        ((512, 512, 1900), (1.37, 1.37, 1.25)),
        ((1024, 1024, 600), (0.1, 0.1, 0.1)),
        ((512, 512, 20), (0.65, 0.65, 20.0)),
        ((768, 768, 400), (1.05, 1.05, 5.0)),
        ((400, 5, 512), (0.8, 1.5, 0.8)),
    ],
)
def test_real_protocols_are_within_bounds(shape: tuple[int, ...], spacing_mm: tuple[float, ...]):
    """Chest, whole body, temporal bone, thin slices with gaps, widest field of view, coronal."""
    assert check_bounds(shape, spacing_mm, IngestConfig()) is None


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [
        ((512, 512, 300), (7.0, 7.0, 10.0)),
        ((512, 512, 1000), (0.7, 0.7, 5.0)),
        ((512, 512, 6), (0.7, 0.7, 0.1)),
        ((512, 512, 6), (0.7, 0.7, float("nan"))),
    ],
)
def test_extents_that_no_body_has(shape: tuple[int, ...], spacing_mm: tuple[float, ...]):
    assert check_bounds(shape, spacing_mm, IngestConfig()) is not None


def test_the_limits_are_settings(ingested: Ingested, tmp_path: Path):
    ingested.config = IngestConfig(max_slice_distance_mm=70)
    write(Series(step_mm=60).datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["spacing_mm"][2] == 60
