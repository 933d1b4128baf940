"""One scan under two SeriesInstanceUIDs, by policy; two scans of one visit stay two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from series import Series, write

from fvlm_data.ingest.selection import SelectConfig

if TYPE_CHECKING:
    from conftest import Ingested
    from pydicom.dataset import Dataset

WHOLE = Series(slices=16, rows=32, columns=24)


def under(datasets: list[Dataset], uid: str, **tags: Any) -> list[Dataset]:
    """Slices under another series, numbered from 1."""
    for number, one in enumerate(datasets, start=1):
        one.SeriesInstanceUID, one.InstanceNumber = uid, number
        for keyword, value in tags.items():
            setattr(one, keyword, value)
    return datasets


def parts(folder: Path, mine: slice, theirs: slice, **tags: Any) -> None:
    write(under(WHOLE.datasets()[mine], "1.2.3.4.5"), folder / "a")
    write(under(WHOLE.datasets()[theirs], "1.2.3.4.6", **tags), folder / "b")


HALVES = [
    (slice(0, 8), slice(8, None)),
    (slice(0, 11), slice(11, None)),
    (slice(0, None, 2), slice(1, None, 2)),
]


@pytest.mark.parametrize(("mine", "theirs"), HALVES, ids=["halves", "unequal", "interleaved"])
def test_parts_of_one_scan_are_refused_or_told(
    ingested: Ingested, tmp_path: Path, mine: slice, theirs: slice
):
    parts(tmp_path / "in", mine, theirs)
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:parted_scan": 16}
    ingested.check_conserved()
    ingested.select = SelectConfig(parted_scans="flag")
    ingested.dicom(tmp_path / "in")
    assert [row["adjustments"] for row in ingested.volumes()] == [["parted_scan=1"]] * 2
    ingested.select = SelectConfig(parted_scans="accept")
    ingested.dicom(tmp_path / "in")
    assert [row["adjustments"] for row in ingested.volumes()] == [[], []]


def test_the_first_half_waits_for_nobody_and_leaves_when_the_second_comes(
    ingested: Ingested, tmp_path: Path
):
    write(under(WHOLE.datasets()[:8], "1.2.3.4.5"), tmp_path / "in" / "a")
    ingested.dicom(tmp_path / "in")
    assert len(ingested.volumes()) == 1
    parts(tmp_path / "in", *HALVES[0])
    ingested.dicom(tmp_path / "in")
    assert (ingested.volumes(), ingested.reasons()) == ([], {"fault:parted_scan": 16})


@pytest.mark.parametrize(
    ("theirs", "tags"),
    [
        (slice(8, None), {"ConvolutionKernel": "Br64"}),
        (slice(8, None), {"ContrastBolusAgent": "Ultravist"}),
        (slice(8, None), {"PixelSpacing": [0.9, 0.9]}),
        (slice(6, None), {}),
        (slice(9, None), {}),
    ],
    ids=["another kernel", "with contrast", "another spacing", "overlapping", "a gap"],
)
def test_two_scans_stay_two(
    ingested: Ingested, tmp_path: Path, theirs: slice, tags: dict[str, Any]
):
    parts(tmp_path / "in", slice(0, 8), theirs, **tags)
    ingested.dicom(tmp_path / "in")
    assert (len(ingested.volumes()), ingested.reasons()) == (2, {})


def test_a_scan_between_the_slices_of_another_stays(ingested: Ingested, tmp_path: Path):
    other = replace(WHOLE, origin_mm=(-50.0, -60.0, 101.25), series_uid="1.2.3.4.6")
    later = under(other.datasets(), "1.2.3.4.6")
    for one in later:  # contrast medium came between
        one.RescaleIntercept = float(one.RescaleIntercept) + 40
    write(WHOLE.datasets(), tmp_path / "in" / "a")
    write(later, tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    assert (len(ingested.volumes()), ingested.reasons()) == (2, {})


def test_two_studies_stay_two(ingested: Ingested, tmp_path: Path):
    parts(tmp_path / "in", *HALVES[0], StudyInstanceUID="1.2.9")
    ingested.dicom(tmp_path / "in")
    assert (len(ingested.volumes()), ingested.reasons()) == (2, {})
