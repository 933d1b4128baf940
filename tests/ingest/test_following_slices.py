"""Slices that do not follow each other although their geometry is a proved grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from series import Series, set_hu, write

from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.hounsfield import StoredValues
from fvlm_data.ingest.volume.outlier_slices import (
    check_neighbours,
    jumps_between_slices,
    repeated_slices,
)
from fvlm_data.ingest.volume.rescale_step import rescale_step

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ingested
    from numpy.typing import NDArray

PLAIN = Series(slices=12, rows=48, columns=40)


def noisy(slices: int, seed: int = 0) -> NDArray[np.int16]:
    """Soft tissue with a lung that grows on one side, (k, j, i)."""
    image = np.random.default_rng(seed).normal(40, 12, (slices, 32, 32))
    for number in range(slices):
        image[number, 4:28, 2 : 10 + number // 4] -= 880
    return image.astype(np.int16)


@pytest.mark.parametrize("places", [[5], [0, 11], list(range(1, 12))])
def test_slices_that_repeat_another_are_refused_by_default_and_named(
    ingested: Ingested, tmp_path: Path, places: list[int]
):
    datasets = PLAIN.datasets()
    for place in places:
        datasets[place].PixelData = datasets[6 if 6 not in places else 0].PixelData
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:repeated_slices": 12}
    ingested.check_conserved()


def test_repeated_slices_of_a_volume_file_are_counted_by_policy(ingested: Ingested, tmp_path: Path):
    image = noisy(10)
    image[7] = image[6]
    image[0] = image[9] = -1024  # padding
    (tmp_path / "in").mkdir()
    made = nib.Nifti1Image(image.transpose(2, 1, 0), np.diag([3.0, 3.0, 3.0, 1.0]))
    nib.save(made, tmp_path / "in" / "scan.nii.gz")
    ingested.config = IngestConfig(unlike_slices="flag")
    ingested.run(SourceConfig(kind="nifti", path=tmp_path / "in"))
    assert "repeated_slices=1" in ingested.volume()["adjustments"]


def test_padding_slices_repeat_nothing():
    image = noisy(9)
    image[:2] = image[7:] = -1024
    assert repeated_slices(image) == []


@given(st.lists(st.integers(0, 8), min_size=1, max_size=4, unique=True), st.integers(0, 99))
def test_each_repetition_is_found_wherever_it_lies(places: list[int], seed: int):
    image = noisy(10, seed)
    for place in places:
        image[place] = image[9]
    found = repeated_slices(image)
    assert found == sorted({*places, 9} - {min(places)})


@pytest.mark.parametrize("start", [2, 12, 21])
def test_a_part_from_elsewhere_is_a_jump(start: int):
    image = noisy(24)
    image[start:] = np.roll(image[start:], 20, axis=1)
    assert jumps_between_slices(image) == [start]
    assert check_neighbours(image, IngestConfig()) == {
        "slices_out_of_order": 0, "slices_lost": 0, "slices_unlike_neighbours": 0,
        "repeated_slices": 0, "mirrored_slices": 0, "jumps_between_slices": 1,
        "steps_between_slices": 0,
    }  # fmt: skip


def test_a_part_from_elsewhere_has_two_ends():
    image = noisy(24)
    image[8:15] = image[8:15, ::-1, ::-1]
    assert jumps_between_slices(image) == [8, 15]


def test_what_every_slice_shows_is_no_jump():
    noise = np.random.default_rng(3).normal(0, 150, (12, 32, 32)).astype(np.int16)
    assert jumps_between_slices(noise) == []
    assert jumps_between_slices(noisy(24)) == []


@pytest.mark.parametrize(("slope", "intercept"), [(1.3, -1024.0), (1.0, -724.0), (0.5, -1024.0)])
@pytest.mark.parametrize("start", [3, 9])
def test_a_rescaling_that_changes_without_its_values_is_refused(
    ingested: Ingested, tmp_path: Path, slope: float, intercept: float, start: int
):
    datasets = PLAIN.datasets()
    for one in datasets[start:]:
        one.RescaleSlope, one.RescaleIntercept = slope, intercept
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:rescale_step": 12}
    (row,) = ingested.rows("quarantine")
    assert f"slices {start} and {start + 1} of 12" in row["detail"]


def test_a_rescaling_of_its_own_on_each_slice_is_none(ingested: Ingested, tmp_path: Path):
    datasets = PLAIN.datasets()
    for number, one in enumerate(datasets):
        one.RescaleSlope, one.RescaleIntercept = 1 + number / 8, -1024 - 16 * number
        set_hu(one, PLAIN.image_hu()[number])
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {}


def test_a_jump_at_which_values_jump_too_is_left_to_the_flag():
    image = noisy(24)
    image[12:] = np.roll(image[12:], 20, axis=1)
    plain = StoredValues(1.0, -1024.0, "HU", "MONOCHROME2", 1, 1, 16, 15, True, None)
    stored = [plain] * 12 + [replace(plain, slope=1.01)] * 12
    assert rescale_step(image, stored) is None
    assert isinstance(check_neighbours(image, IngestConfig()), dict)
    image[5] = image[4]
    assert isinstance(check_neighbours(image, IngestConfig()), Fault)
    assert check_neighbours(image, IngestConfig(unlike_slices="ignore")) == {}
