"""DICOM series, right and wrong, through discovery and ingest into a store."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from series import Series, fresh_uid, move, set_hu, write

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.dicom.slice_header import parse
from fvlm_data.ingest.volume.stacks.grouping import stacks

if TYPE_CHECKING:
    from conftest import Ingested


def ijk(series: Series) -> np.ndarray[Any, Any]:
    """The series' voxels with axes (i, j, k), slices along the growing normal."""
    return series.image_hu().transpose(2, 1, 0)


def test_a_series_becomes_one_volume_whose_spacing_comes_from_positions(
    ingested: Ingested, tmp_path: Path
):
    series = Series()
    write(series.datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    row = ingested.volume()
    assert row["shape"] == [10, 12, 6]
    assert row["spacing_mm"] == [0.7, 0.8, 2.5]
    assert row["orientation"] == "LPS"
    assert row["rescale_decision"] == "per_slice"
    np.testing.assert_array_equal(ingested.image(row), ijk(series))
    ingested.check_conserved()


def test_source_files_stand_in_slice_order(ingested: Ingested, tmp_path: Path):
    names = [f"{number}.dcm" for number in (3, 5, 1, 0, 4, 2)]
    write(Series().datasets(), tmp_path / "in", names)
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["source_files"] == [f"hospital/{name}" for name in names]


@pytest.mark.parametrize(
    ("orientation", "code"),
    [
        ((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "RAS"),
        ((-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "RPI"),
        ((0.8, 0.6, 0.0, -0.6, 0.8, 0.0), "LPS"),
    ],
)
def test_prone_feet_first_and_oblique_keep_their_direction(
    ingested: Ingested, tmp_path: Path, orientation: tuple[float, ...], code: str
):
    series = Series(orientation=orientation)
    write(series.datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    row = ingested.volume()
    assert row["orientation"] == code
    np.testing.assert_array_equal(ingested.image(row), ijk(series))
    affine = np.array(row["affine_ras"]).reshape(4, 4)
    last = series.position(5) * (-1, -1, 1)
    np.testing.assert_allclose((affine @ (0, 0, 5, 1))[:3], last, atol=1e-6)


def test_each_slice_has_its_own_slope(ingested: Ingested, tmp_path: Path):
    series = Series()
    datasets = series.datasets()
    for number, (one, image) in enumerate(zip(datasets, series.image_hu(), strict=True)):
        one.RescaleSlope, one.RescaleIntercept = 0.5 + number / 4, -1000 + number
        set_hu(one, image)
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    difference = ingested.image(ingested.volume()) - ijk(series)
    assert np.abs(difference).max() <= 1


Change = Callable[[list[Dataset]], Any]


def tilt(datasets: list[Dataset], sign: int) -> None:
    for number, one in enumerate(datasets):
        move(one, by_mm=(0.0, sign * number * 2.5 * math.tan(math.radians(20)), 0.0))


REFUSED: dict[str, tuple[Change, str]] = {
    "a slice is missing": (lambda d: d.pop(3), "missing_slices"),
    "one slice shifted sideways": (lambda d: move(d[2], by_mm=(9, 0, 0)), "lateral_shift"),
    "one slice off its height": (lambda d: move(d[2], by_mm=(0, 0, 0.4)), "uneven_spacing"),
    "a single slice": (lambda d: d.__delitem__(slice(1, None)), "too_few_slices"),
    "no position": (lambda d: [delattr(one, "ImagePositionPatient") for one in d], ""),
    "no slope": (lambda d: [delattr(one, "RescaleSlope") for one in d], "missing_rescale"),
    "slope zero": (lambda d: [setattr(one, "RescaleSlope", 0) for one in d], "bad_rescale"),
    "forgotten intercept": (
        lambda d: [setattr(one, "RescaleIntercept", 1024) for one in d],
        "rescaling_forgotten",
    ),
    "no pixel spacing": (
        lambda d: [setattr(one, "PixelSpacing", None) for one in d],
        "missing_pixel_spacing",
    ),
    "pixels of half the size": (
        lambda d: [setattr(one, "PixelData", one.PixelData[:100]) for one in d],
        "truncated_pixels",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_volume_is_set_aside_with_its_reason(
    ingested: Ingested, tmp_path: Path, name: str
):
    change, reason = REFUSED[name]
    datasets = Series().datasets()
    change(datasets)
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == []
    expected = reason or "missing_position"
    assert ingested.reasons() == {f"fault:{expected}": len(datasets)}
    ingested.check_conserved()


def test_one_truncated_file_denies_its_series_and_is_named_apart(
    ingested: Ingested, tmp_path: Path
):
    paths = write(Series().datasets(), tmp_path / "in")
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[:-60])
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == []
    assert ingested.reasons() == {"fault:truncated_pixels": 1, "fault:incomplete_series": 5}
    ingested.check_conserved()


def test_copies_in_another_folder_are_listed_as_duplicates(ingested: Ingested, tmp_path: Path):
    series = Series()
    write(series.datasets(), tmp_path / "in" / "a")
    write(series.datasets(), tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    assert {path.split("/")[1] for path in ingested.volume()["source_files"]} == {"a"}
    assert ingested.reasons() == {"duplicate:same_slice": 6}
    ingested.check_conserved()


def test_two_different_images_at_one_place_are_refused(ingested: Ingested, tmp_path: Path):
    other = Series(seed=2).datasets()
    for one in other:
        fresh_uid(one)
    write(Series().datasets(), tmp_path / "in" / "a")
    write(other, tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == []
    assert ingested.reasons() == {"fault:duplicate_position": 12}


def test_two_patients_under_one_series_uid_are_two_series(ingested: Ingested, tmp_path: Path):
    one, two = Series(), Series(patient_id="PAT-0043", seed=2)
    write(one.datasets(), tmp_path / "in" / "a")
    write(two.datasets(), tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    rows = ingested.volumes()
    assert len({row["series_id"] for row in rows}) == 2
    assert len({row["patient_id"] for row in rows}) == 2
    assert len({row["study_id"] for row in rows}) == 2


SPLITS: dict[str, dict[str, Any]] = {
    "kernel": {"ConvolutionKernel": "B70f"},
    "acquisition": {"AcquisitionNumber": 2},
    "time": {"TemporalPositionIdentifier": 2},
    "image type": {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]},
    "frame of reference": {"FrameOfReferenceUID": "1.2.3.99"},
    "voltage": {"KVP": "140"},
}


@pytest.mark.parametrize("name", SPLITS)
def test_a_series_with_two_volumes_is_split(ingested: Ingested, tmp_path: Path, name: str):
    plain = dict.fromkeys(SPLITS[name], None) | {"AcquisitionNumber": 1}
    first = Series(tags={key: value for key, value in plain.items() if value is not None})
    second = Series(seed=2, tags=SPLITS[name])
    moved = second.datasets()
    for one in moved:
        fresh_uid(one)
    write(first.datasets(), tmp_path / "in" / "a")
    write(moved, tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    rows = ingested.volumes()
    assert len(rows) == 2
    assert len({row["series_id"] for row in rows}) == 1
    images = {ingested.image(row).tobytes() for row in rows}
    assert images == {ijk(first).tobytes(), ijk(second).tobytes()}
    ingested.check_conserved()


def test_acquisition_numbers_that_count_up_with_every_slice_split_nothing(
    ingested: Ingested, tmp_path: Path
):
    datasets = Series().datasets()
    for number, one in enumerate(datasets):
        one.AcquisitionNumber = number
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"] == [10, 12, 6]


HEADERS = [
    parse(one)
    for tags in ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, {"ConvolutionKernel": "B70f"})
    for one in Series(tags=tags).datasets()
]


@given(order=st.permutations(range(18)))
def test_the_stacks_of_a_series_do_not_depend_on_file_order(order: list[int]):
    found = stacks([HEADERS[number] for number in order], IngestConfig())
    members = {frozenset(order[number] for number in stack.members) for stack in found}
    assert members == {frozenset(range(start, start + 6)) for start in (0, 6, 12)}


@pytest.mark.parametrize("seed", range(3))
def test_file_names_and_order_change_no_row_but_the_files(
    ingested: Ingested, make_ingested: Callable[[Path], Ingested], tmp_path: Path, seed: int
):
    series = Series()
    write(series.datasets(), tmp_path / "a")
    ingested.dicom(tmp_path / "a")
    again = make_ingested(tmp_path / "second")
    again.context = replace(again.context, vault=ingested.context.vault)
    names = [f"{number:02d}" for number in range(6)]
    random.Random(seed).shuffle(names)
    write(series.datasets(), tmp_path / "b", names)
    again.dicom(tmp_path / "b")
    assert {**again.volume(), "source_files": []} == {**ingested.volume(), "source_files": []}


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_native_encodings(ingested: Ingested, tmp_path: Path, syntax: str):
    series = Series()
    datasets = series.datasets()
    for one in datasets:
        if syntax == ExplicitVRBigEndian:
            one.PixelData = np.frombuffer(one.PixelData, "<i2").astype(">i2").tobytes()
            one["PixelData"].VR = "OW"
        one.file_meta.TransferSyntaxUID = syntax
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    np.testing.assert_array_equal(ingested.image(ingested.volume()), ijk(series))


def test_files_without_preamble_and_meta_information(ingested: Ingested, tmp_path: Path):
    series = Series()
    folder = tmp_path / "in"
    folder.mkdir()
    for number, one in enumerate(series.datasets()):
        del one.file_meta
        one.save_as(folder / str(number), implicit_vr=True, little_endian=True)
    ingested.dicom(folder)
    np.testing.assert_array_equal(ingested.image(ingested.volume()), ijk(series))


def test_run_length_encoding(ingested: Ingested, tmp_path: Path):
    series = Series()
    datasets = series.datasets()
    for one in datasets:
        one.compress(RLELossless, generate_instance_uid=False)
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    np.testing.assert_array_equal(ingested.image(ingested.volume()), ijk(series))


def test_nothing_is_logged_or_warned_of_damaged_files(
    ingested: Ingested, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    datasets = Series().datasets()
    for one in datasets:
        one["PatientAge"]._value = "age of Erika"  # pydicom itself refuses to write it
        one.compress(RLELossless, generate_instance_uid=False)
    for path in write(datasets, tmp_path / "Mustermann"):
        path.write_bytes(path.read_bytes()[:-150])
    ingested.dicom(tmp_path / "Mustermann")
    assert ingested.reasons() == {"fault:truncated_pixels": 6}
    assert caplog.records == []
