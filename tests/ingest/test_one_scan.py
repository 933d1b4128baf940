"""One scan is one volume, or refused with the element named: never two parts of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from series import Series, fresh_uid, write

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.dicom.slice_header import parse
from fvlm_data.ingest.volume.geometry import Fault, Grid
from fvlm_data.ingest.volume.stacks.grouping import stacks
from fvlm_data.ingest.volume.stacks.stack import Stack

if TYPE_CHECKING:
    from conftest import Ingested

SLICES = 24
PLAIN = Series(
    slices=SLICES,
    rows=8,
    columns=8,
    pixel_spacing_mm=(0.703125, 0.703125),
    tags={"KVP": "120", "ConvolutionKernel": "Br40d", "AcquisitionNumber": 1, "StackID": "1"},
)

PLACES: dict[str, list[int]] = {
    "upper half": list(range(12, 24)),
    "every other": list(range(0, 24, 2)),
    "tail": list(range(20, 24)),
    "first": [0],
    "here and there": [2, 3, 9, 14, 15, 16, 22],
}

SPELT: dict[str, tuple[str, Any]] = {
    "KVP in decimals": ("KVP", "120.0"),
    "KVP more exact": ("KVP", "120.3"),
    "KVP blank": ("KVP", ""),
    "KVP zero": ("KVP", "0"),
    "kernel in another case": ("ConvolutionKernel", "BR40D"),
    "kernel with blanks": ("ConvolutionKernel", " Br40d "),
    "kernel with a value more": ("ConvolutionKernel", ["Br40d", "3"]),
    "kernel lost": ("ConvolutionKernel", None),
    "image type with a value more": ("ImageType", ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]),
    "image type with a value less": ("ImageType", ["ORIGINAL", "PRIMARY"]),
    "image type in another case": ("ImageType", ["original", "Primary", "AXIAL"]),
    "image type blank": ("ImageType", None),
    "frame of reference blank": ("FrameOfReferenceUID", ""),
    "study blank": ("StudyInstanceUID", ""),
    "issuer added": ("IssuerOfPatientID", "HOSPITAL"),
    "stack id lost": ("StackID", None),
    "stack id with blanks": ("StackID", "1 "),
    "pixel spacing rounded to .703": ("PixelSpacing", [".703", ".703"]),
    "pixel spacing rounded to 0.7": ("PixelSpacing", ["0.7", "0.7"]),
    "pixel spacing as exponents": ("PixelSpacing", ["7.03125E-1", "7.03125E-1"]),
    "pixel spacing blank": ("PixelSpacing", None),
    "patient in another case": ("PatientID", "pat-0042"),
}

CONTRADICTING: dict[str, tuple[str, Any]] = {
    "another study": ("StudyInstanceUID", "1.2.3.77"),
    "another frame of reference": ("FrameOfReferenceUID", "1.2.3.78"),
    "another kernel": ("ConvolutionKernel", "Br64d"),
    "another voltage": ("KVP", "100"),
    "another image type": ("ImageType", ["DERIVED", "SECONDARY", "AXIAL"]),
    "another stack": ("StackID", "77"),
    "another pixel spacing": ("PixelSpacing", ["0.85", "0.85"]),
    "more rows": ("Rows", 10),
    "fewer columns": ("Columns", 6),
}


def built(changes: dict[str, Any], places: list[int], series: Series = PLAIN) -> list[Dataset]:
    datasets = series.datasets()
    # lower case is no CS (DICOM PS3.5 6.2), and is written all the same
    with disable_value_validation():
        for place in places:
            for keyword, value in changes.items():
                if keyword in datasets[place]:
                    delattr(datasets[place], keyword)
                if value is not None:
                    setattr(datasets[place], keyword, value)
    return datasets


def found(datasets: list[Dataset]) -> list[Stack]:
    return stacks([parse(one) for one in datasets], IngestConfig())


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", SPELT)
def test_a_value_blank_or_spelt_in_two_ways_splits_no_scan(name: str, where: str):
    keyword, value = SPELT[name]
    (stack,) = found(built({keyword: value}, PLACES[where]))
    assert isinstance(stack.proof, Grid)
    assert stack.proof.shape == (8, 8, SLICES)
    assert stack.proof.spacing_mm == (0.703125, 0.703125, 2.5)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", CONTRADICTING)
def test_a_contradiction_within_one_scan_is_named_and_refuses_all_of_it(name: str, where: str):
    keyword, value = CONTRADICTING[name]
    (stack,) = found(built({keyword: value}, PLACES[where]))
    assert isinstance(stack.proof, Fault)
    assert stack.proof.reason == "mixed_header"
    assert keyword in stack.proof.detail
    assert str(value) not in stack.proof.detail


TURNED: dict[str, tuple[float, ...]] = {
    "columns run the other way": (-1, 0, 0, 0, 1, 0),
    "rows run the other way": (1, 0, 0, 0, -1, 0),
    "half a turn": (-1, 0, 0, 0, -1, 0),
    "a quarter of a turn": (0, 1, 0, -1, 0, 0),
    "rounded": (0.99, 0.01, 0, 0, 1, 0),
    "turned by half a degree": (0.99996, 0.00873, 0, -0.00873, 0.99996, 0),
}


@pytest.mark.parametrize("corner", ["as it was", "where it belongs"])
@pytest.mark.parametrize("where", ["upper half", "every other", "tail"])
@pytest.mark.parametrize("name", TURNED)
def test_an_orientation_that_changes_within_one_scan_is_named_and_refuses_all_of_it(
    name: str, where: str, corner: str
):
    datasets = PLAIN.datasets()
    side = 0.703125 * 7
    turned = np.array(TURNED[name], dtype=float)
    for place in PLACES[where]:
        one = datasets[place]
        if corner == "where it belongs":
            moved = (np.array([1, 0, 0, 0, 1, 0.0]) - turned).reshape(2, 3).sum(axis=0) * side / 2
            one.ImagePositionPatient = [
                round(float(old) + more, 9)
                for old, more in zip(one.ImagePositionPatient, moved, strict=True)
            ]
        one.ImageOrientationPatient = list(TURNED[name])
    (stack,) = found(datasets)
    assert isinstance(stack.proof, Fault)
    assert stack.proof.reason == "mixed_header"
    assert "ImageOrientationPatient has 2 values" in stack.proof.detail


def test_stacks_of_other_planes_and_scans_of_another_position_stay_apart():
    coronal = replace(
        PLAIN, orientation=(1, 0, 0, 0, 0, -1), series_uid="1.2.3.4.5", origin_mm=(-50, -60, 150)
    ).datasets()
    prone = replace(PLAIN, orientation=(-1, 0, 0, 0, -1, 0), origin_mm=(-45, -55, 100.6)).datasets()
    for number, one in enumerate(coronal + prone):
        fresh_uid(one)
        one.InstanceNumber = 100 + number
    result = found(PLAIN.datasets() + coronal + prone)
    assert [len(one.members) for one in result] == [SLICES] * 3
    assert all(isinstance(one.proof, Grid) for one in result)


def test_several_elements_that_change_at_places_of_their_own_leave_one_scan():
    datasets = built({"KVP": "120.0"}, PLACES["upper half"])
    for place, changes in (
        (range(0, 24, 2), {"ConvolutionKernel": ""}),
        (range(7, 20), {"FrameOfReferenceUID": ""}),
        (range(3), {"ImageType": ["ORIGINAL", "PRIMARY"]}),
        ((5, 9), {"PixelSpacing": ["0.7", "0.7"]}),
    ):
        for number in place:
            for keyword, value in changes.items():
                setattr(datasets[number], keyword, value)
    (stack,) = found(datasets)
    assert isinstance(stack.proof, Grid)
    assert {name for name, _ in stack.joined_over} == {
        "KVP", "ConvolutionKernel", "FrameOfReferenceUID", "ImageType", "PixelSpacing",
    }  # fmt: skip


def test_a_frame_of_reference_of_its_own_on_every_slice_is_named():
    datasets = PLAIN.datasets()
    for number, one in enumerate(datasets):
        one.FrameOfReferenceUID = f"1.2.{number}"
    (stack,) = found(datasets)
    assert isinstance(stack.proof, Fault)
    assert "FrameOfReferenceUID has 24 values" in stack.proof.detail


def second(tags: dict[str, Any], **changes: Any) -> list[Dataset]:
    """Another volume under the same series UID, its instances numbered behind the first."""
    series = replace(PLAIN, seed=2, tags={**PLAIN.tags, **tags}, **changes)
    made = series.datasets()
    for number, one in enumerate(made):
        fresh_uid(one)
        one.InstanceNumber = SLICES + number + 1
    return made


SEPARATE: dict[str, list[Dataset]] = {
    "two kernels": second({"ConvolutionKernel": "Br64d"}),
    "two kernels half a step apart": second(
        {"ConvolutionKernel": "Br64d"}, origin_mm=(-50.0, -60.0, 101.25)
    ),
    "a second kernel that is blank": second({"ConvolutionKernel": ""}),
    "a blank kernel half a step apart": second(
        {"ConvolutionKernel": ""}, origin_mm=(-50.0, -60.0, 101.25)
    ),
    "two energies": second({"KVP": "80", "AcquisitionNumber": 2}),
    "two phases": second({"AcquisitionNumber": 2}),
    "two phases half a step apart": second(
        {"AcquisitionNumber": 2, "KVP": "100"}, origin_mm=(-50.0, -60.0, 101.25)
    ),
    "two gates": second({"NominalPercentageOfCardiacPhase": 40.0}),
    "stations far apart": second({"KVP": "100"}, origin_mm=(-50.0, -60.0, 600.0)),
    "stations that overlap": second({"AcquisitionNumber": 2}, origin_mm=(-50.0, -60.0, 120.0)),
    "stations that touch, taken in another way": second(
        {"AcquisitionNumber": 2, "KVP": "100"}, origin_mm=(-50.0, -60.0, 160.0)
    ),
    "a zoomed field": second({}, pixel_spacing_mm=(0.35, 0.35), origin_mm=(-48.6, -58.6, 160.0)),
    "two sizes": second({}, rows=10),
}


@pytest.mark.parametrize("name", SEPARATE)
@pytest.mark.parametrize("blank", ["", "FrameOfReferenceUID", "ImageType"])
def test_two_scans_of_one_series_stay_two(name: str, blank: str):
    """Also where an element is blank on half of the slices of both."""
    if name == "two gates":
        first = built({"NominalPercentageOfCardiacPhase": 70.0}, list(range(SLICES)))
    else:
        first = PLAIN.datasets()
    datasets = first + [Dataset(one) for one in SEPARATE[name]]
    for one in datasets[12:36] if blank else ():
        setattr(one, blank, "")
    result = found(datasets)
    if name == "stations that overlap":
        # they may not be told apart where nothing but the acquisition differs
        assert sum(len(one.members) for one in result) == 2 * SLICES
        assert all(len(one.members) >= SLICES for one in result)
        return
    assert [len(one.members) for one in result] == [SLICES, SLICES]
    assert all(isinstance(one.proof, Grid) for one in result)


def test_a_kernel_lost_on_the_tail_of_one_of_two_reconstructions():
    other = second({"ConvolutionKernel": "Br64d"})
    for one in other[15:]:
        one.ConvolutionKernel = ""
    result = found(PLAIN.datasets() + other)
    assert [len(one.members) for one in result] == [SLICES, SLICES]
    assert all(isinstance(one.proof, Grid) for one in result)


def test_a_kernel_lost_on_the_tails_of_both_is_never_two_short_volumes(
    ingested: Ingested, tmp_path: Path
):
    other = second({"ConvolutionKernel": "Br64d"})
    first = PLAIN.datasets()
    for one in first[15:] + other[15:]:
        one.ConvolutionKernel = ""
    write(first, tmp_path / "in" / "a")
    write(other, tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == []
    assert ingested.reasons() == {"fault:duplicate_position": 18, "fault:incomplete_series": 30}


def test_copies_that_say_less_are_duplicates_and_no_half_volume(ingested: Ingested, tmp_path: Path):
    copies = built({"ConvolutionKernel": "", "KVP": "120.0"}, list(range(SLICES)))[12:]
    write(copies, tmp_path / "in" / "a")
    write(PLAIN.datasets(), tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    row = ingested.volume()
    assert row["shape"] == [8, 8, SLICES]
    assert all(token.startswith("hospital/b/") for token in row["source_files"])
    assert not any("joined_over" in one for one in row["adjustments"])
    assert ingested.reasons() == {"duplicate:same_slice": 12}


CHANGES: dict[str, dict[str, Any]] = {
    "patient in another case": {"PatientID": "pat-0042"},
    "patient with blanks": {"PatientID": " PAT-0042 "},
    "issuer added": {"IssuerOfPatientID": "HOSPITAL"},
    "study blank": {"StudyInstanceUID": ""},
    "kernel lost": {"ConvolutionKernel": ""},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_scan_whose_header_changes_halfway_is_one_volume_of_one_patient(
    ingested: Ingested, tmp_path: Path, name: str
):
    write(built(CHANGES[name], PLACES["upper half"]), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    row = ingested.volume()
    assert row["shape"] == [8, 8, SLICES]
    assert row["kernel"] is not None
    assert ingested.reasons() == {}
    owners = {one["owner_id"] for one in ingested.rows("links")}
    assert owners == {row["study_id"], row["series_id"], row["patient_id"]}
    ingested.check_conserved()


def test_a_study_that_changes_halfway_is_refused_and_named(ingested: Ingested, tmp_path: Path):
    write(built({"StudyInstanceUID": "1.2.77"}, PLACES["upper half"]), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:mixed_header": SLICES}
    (row,) = ingested.rows("quarantine")
    assert "StudyInstanceUID has 2 values (on 12, 12 slices)" in row["detail"]
    assert "1.2.77" not in row["detail"]


def test_what_a_volume_was_joined_over_is_told(ingested: Ingested, tmp_path: Path):
    write(built({"ConvolutionKernel": ""}, PLACES["tail"]), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert "joined_over_ConvolutionKernel=4" in ingested.volume()["adjustments"]


def test_slices_of_sizes_of_their_own_are_set_aside_by_that_name(
    ingested: Ingested, tmp_path: Path
):
    datasets = PLAIN.datasets()
    for number, size in ((1, 30), (2, 40)):
        odd = Series(slices=1, rows=size, columns=size, origin_mm=(0, 0, -900 - number)).datasets()
        fresh_uid(odd[0])
        datasets += odd
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"] == [8, 8, SLICES]
    rows = ingested.rows("quarantine")
    assert {row["reason"] for row in rows} == {"mixed_size"}
    assert all("Rows, Columns" in row["detail"] for row in rows)
    names = [(row["item"], row["reason"], row["detail"]) for row in rows]
    assert len(set(names)) == len(names)
    ingested.check_conserved()


@pytest.mark.parametrize("where", ["upper half", "every other", "tail", "first"])
@pytest.mark.parametrize("patient", ["ANOTHER", ""])
def test_a_scan_of_two_patients_is_refused_and_the_element_named(
    ingested: Ingested, tmp_path: Path, patient: str, where: str
):
    write(built({"PatientID": patient}, PLACES[where]), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == []
    assert sum(ingested.reasons().values()) == SLICES
    details = [row["detail"] for row in ingested.rows("quarantine")]
    assert any("PatientID" in one for one in details)
    assert not any("ANOTHER" in one for one in details)
    ingested.check_conserved()


@pytest.mark.parametrize("where", ["upper half", "every other"])
@pytest.mark.parametrize("series_uid", ["", "1.2.3.4.5"])
def test_a_scan_whose_series_has_no_uid_is_never_two_halves(
    ingested: Ingested, tmp_path: Path, series_uid: str, where: str
):
    """The UID blank on half; or on all, and half of what stands in for it."""
    changes = {"SeriesInstanceUID": ""} if series_uid else {"FrameOfReferenceUID": ""}
    datasets = built(changes, PLACES[where], replace(PLAIN, series_uid="1.2.3.4.5"))
    for one in datasets:
        one.SeriesNumber = 4
        if not series_uid:
            one.SeriesInstanceUID = ""
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == []
    assert ingested.reasons() == {"fault:mixed_header": SLICES}
    assert all("SeriesInstanceUID" in row["detail"] for row in ingested.rows("quarantine"))
