"""A scan of which an end was lost leaves no gap: other evidence tells, and the policy decides."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from enhanced import enhanced
from pydicom.dataset import Dataset
from series import Series, fresh_uid, write

from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.sources import dicomweb

if TYPE_CHECKING:
    from conftest import Ingested

SLICES = 14
PLAIN = Series(slices=SLICES)
NAMES = [f"IM{number:04d}.dcm" for number in range(1, SLICES + 1)]


def cut(size: int) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[:size]) and None


def without_pixels(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\xe0\x7f\x10\x00")])


def misnamed(path: Path) -> None:
    # a byte that is no UTF-8, as Python hands it on
    path.rename(path.with_suffix("").with_name(f"{path.stem}\udcff.dcm"))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b"") and None,
    "cut within the preamble": cut(100),
    "cut within the header": cut(300),
    "no pixels": without_pixels,
    "half of the pixels": lambda path: cut(path.stat().st_size - 150)(path),
    "text": lambda path: path.write_text("no image at all " * 20) and None,
    "a name that is no Unicode": misnamed,
}


@pytest.mark.parametrize(
    ("name", "places", "policy"),
    [
        *((name, [SLICES - 1], "refuse") for name in DAMAGE),
        ("empty", [0, 1, SLICES - 1], "refuse"),
        ("empty", [0], "flag"),
        ("half of the pixels", [0, SLICES - 1], "flag"),
        ("cut within the header", [0], "flag"),
    ],
)
def test_damaged_files_at_the_ends_make_the_rest_incomplete(
    ingested: Ingested, tmp_path: Path, name: str, places: list[int], policy: Any
):
    ingested.config = IngestConfig(incomplete=policy)
    paths = write(PLAIN.datasets(), tmp_path / "in", NAMES)
    for place in places:
        DAMAGE[name](paths[place])
    ingested.dicom(tmp_path / "in")
    rest = SLICES - len(places)
    ingested.check_conserved()
    if policy == "flag":
        row = ingested.volume()
        assert row["shape"][2] == rest
        assert any(one.startswith("incomplete_series=") for one in row["adjustments"])
        return
    assert ingested.volumes() == []
    assert ingested.reasons()["fault:incomplete_series"] == rest


def test_a_series_is_made_anew_when_its_lost_end_arrives(ingested: Ingested, tmp_path: Path):
    paths = write(PLAIN.datasets(), tmp_path / "in", NAMES)
    whole = paths[-1].read_bytes()
    paths[-1].write_bytes(b"")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:empty_file": 1, "fault:incomplete_series": SLICES - 1}
    paths[-1].write_bytes(whole)
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"][2] == SLICES
    assert ingested.reasons() == {}


def test_an_empty_file_that_comes_later_makes_a_settled_series_incomplete(
    ingested: Ingested, tmp_path: Path
):
    write(PLAIN.datasets(), tmp_path / "in", NAMES)
    ingested.dicom(tmp_path / "in")
    assert len(ingested.volumes()) == 1
    (tmp_path / "in" / "IM0015.dcm").write_bytes(b"")
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == []


@pytest.mark.parametrize(
    "name", ["empty.dcm", "notes.txt", "DICOMDIR", "IM0900.dcm", "IM0003.jpg", "sub/IM0001.dcm"]
)
def test_other_damaged_files_beside_a_series_leave_it_whole(
    ingested: Ingested, tmp_path: Path, name: str
):
    write(PLAIN.datasets(), tmp_path / "in", NAMES)
    other = tmp_path / "in" / name
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"][2] == SLICES
    ingested.check_conserved()


def test_an_empty_file_counts_for_the_series_whose_numbers_it_continues(
    ingested: Ingested, tmp_path: Path
):
    far = Series(slices=SLICES, series_uid="1.2.3.4.6", seed=3).datasets()
    write(PLAIN.datasets(), tmp_path / "in", NAMES)
    write(far, tmp_path / "in", [f"IM{number:04d}.dcm" for number in range(100, 100 + SLICES)])
    (tmp_path / "in" / "IM0015.dcm").write_bytes(b"")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["source_files"][0] == "hospital/IM0100.dcm"


@pytest.mark.parametrize(("mode", "share"), [("w", 0.5), ("w:gz", 0.65)])
def test_what_is_left_of_a_cut_archive_is_no_whole_series(
    ingested: Ingested, tmp_path: Path, share: float, mode: Any
):
    paths = write(PLAIN.datasets(), tmp_path / "files", NAMES)
    folder = tmp_path / "in"
    folder.mkdir()
    packed = folder / ("all.tar" if mode == "w" else "all.tar.gz")
    with tarfile.open(packed, mode) as archive:
        for path in paths:
            archive.add(path, f"CT/{path.name}")
    cut(int(packed.stat().st_size * share))(packed)
    write(Series(series_uid="1.2.3.9", seed=5).datasets(), folder / "beside")
    ingested.dicom(folder)
    assert ingested.volume()["shape"][2] == 6
    ingested.check_conserved()


def setting(datasets: list[Dataset], **tags: Any) -> list[Dataset]:
    for one in datasets:
        for keyword, value in tags.items():
            setattr(one, keyword, value)
    return datasets


ANNOUNCED: dict[str, dict[str, Any]] = {
    "ImagesInAcquisition": {"ImagesInAcquisition": SLICES, "AcquisitionNumber": 3},
    "NumberOfSeriesRelatedInstances": {"NumberOfSeriesRelatedInstances": SLICES},
    "NumberOfStudyRelatedInstances": {"NumberOfStudyRelatedInstances": SLICES},
}


@pytest.mark.parametrize("name", ANNOUNCED)
def test_fewer_images_than_announced_are_incomplete(ingested: Ingested, tmp_path: Path, name: str):
    datasets = setting(PLAIN.datasets(), **ANNOUNCED[name])
    write(datasets[:-3], tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:incomplete_series": SLICES - 3}
    (row,) = ingested.rows("quarantine")
    assert f"{name} announces {SLICES}" in row["detail"]
    # the rest arrives
    write(datasets[-3:], tmp_path / "in" / "rest")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"][2] == SLICES
    assert ingested.reasons() == {}


@pytest.mark.parametrize("step", [2, 3])
@pytest.mark.parametrize("keyword", ["SpacingBetweenSlices", "SliceThickness"])
def test_a_scan_of_which_each_second_image_came_is_incomplete(
    ingested: Ingested, tmp_path: Path, step: int, keyword: str
):
    series = replace(PLAIN, slices=8 * step)
    datasets = setting(series.datasets(), **{keyword: series.step_mm})
    write(datasets[::step], tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:incomplete_series": 8}
    (row,) = ingested.rows("quarantine")
    assert f"steps of {step} and {keyword} is 2.5 mm" in row["detail"]
    for number in range(1, step):
        write(datasets[number::step], tmp_path / "in" / str(number))
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"][2] == 8 * step
    assert ingested.reasons() == {}


@pytest.mark.parametrize(
    "tags", [{}, {"SpacingBetweenSlices": 5.0}, {"SpacingBetweenSlices": 5.0, "SliceThickness": 5}]
)
def test_numbers_that_count_in_twos_alone_lack_nothing(
    ingested: Ingested, tmp_path: Path, tags: dict[str, float]
):
    datasets = setting(replace(PLAIN, step_mm=5.0).datasets(), **tags)
    for number, one in enumerate(datasets):
        one.InstanceNumber = 2 * number + 1
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"][2] == PLAIN.slices


def test_what_else_belongs_to_study_and_series_counts_as_come(ingested: Ingested, tmp_path: Path):
    counts = {"NumberOfSeriesRelatedInstances": SLICES + 1, "NumberOfStudyRelatedInstances": 16}
    datasets = setting(PLAIN.datasets(), **counts)
    scout, report = setting(PLAIN.datasets()[:2], **counts)
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    report.Modality, report.SOPClassUID = "SR", "1.2.840.10008.5.1.4.1.1.88.11"
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.SeriesInstanceUID = "1.2.3.77"
    for one in (scout, report):
        fresh_uid(one)
    write([*datasets, scout, report], tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"][2] == SLICES


@pytest.mark.parametrize("numbers", [list(range(SLICES)), [0] * 7 + [1] * 7])
def test_acquisition_numbers_that_count_up_with_rotations_announce_all_images(
    ingested: Ingested, tmp_path: Path, numbers: list[int]
):
    datasets = setting(PLAIN.datasets(), ImagesInAcquisition=SLICES)
    for one, number in zip(datasets, numbers, strict=True):
        one.AcquisitionNumber = number
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"][2] == SLICES


@pytest.mark.parametrize("total", [2, None])
def test_a_concatenation_whose_first_part_is_lost_is_incomplete(
    ingested: Ingested, tmp_path: Path, total: int | None
):
    datasets = PLAIN.datasets()
    parts = [enhanced(datasets[:7]), enhanced(datasets[7:])]
    for number, one in enumerate(parts, start=1):
        fresh_uid(one)
        one.ConcatenationUID, one.InConcatenationNumber = "1.2.3.55", number
        if total:
            one.InConcatenationTotalNumber = total
    write(parts[1:], tmp_path / "in", ["second"])
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:incomplete_series": 1}
    write(parts[:1], tmp_path / "in", ["first"])
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"][2] == SLICES


def test_a_refused_slice_next_to_an_end_makes_the_rest_incomplete(
    ingested: Ingested, tmp_path: Path
):
    datasets = replace(PLAIN).datasets()
    datasets[-1].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {
        "fault:incomplete_series": SLICES - 1,
        "fault:too_few_slices": 1,
    }


def test_half_a_scan_without_position_denies_the_other_half(ingested: Ingested, tmp_path: Path):
    datasets = PLAIN.datasets()
    for one in datasets[7:]:
        del one.ImageOrientationPatient
    write(datasets, tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.volumes() == []


class Server:
    """A DICOMweb server that counts more instances than it lists."""

    def search_for_studies(self, **asked: Any) -> list[dict[str, Any]]:
        return self._page(asked, {dicomweb.STUDY: "1.2.3.4", dicomweb.STUDY_INSTANCES: 99})

    def search_for_series(self, study: str, **asked: Any) -> list[dict[str, Any]]:
        return self._page(asked, {dicomweb.SERIES: "1.2.3.4.5", dicomweb.SERIES_INSTANCES: 20})

    def search_for_instances(self, *uids: str, **asked: Any) -> list[dict[str, Any]]:
        return self._page(asked, {dicomweb.INSTANCE: "1.2.3.4.5.1"})

    def _page(self, asked: dict[str, Any], row: dict[str, Any]) -> list[dict[str, Any]]:
        told = {tag: {"Value": [value]} for tag, value in row.items()}
        return [] if asked["offset"] else [told]


def test_counts_of_a_server_are_kept_with_each_instance(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dicomweb, "client", lambda url: Server())
    where = SourceConfig(kind="dicomweb", url="https://pacs.example/dicom-web", name="pacs")
    (found,) = dicomweb.find(where)
    assert (found.series_instances, found.study_instances) == (20, 99)
