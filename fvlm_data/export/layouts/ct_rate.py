"""The layout of CT-RATE: volumes by patient, scan and reconstruction, and three kinds of CSV."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fvlm_data.export.labels import labels_of
from fvlm_data.export.layouts.scans import listed_studies, scans
from fvlm_data.export.layouts.tables import write_csv
from fvlm_data.export.layouts.volumes import check_placing, place
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.export.layouts.scans import Listed, Scan, VolumeFile
    from fvlm_data.export.layouts.volumes import Placing
    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary


class Part(NamedTuple):
    """How the layout calls a split: of a volume, of its folder, and of its tables of metadata."""

    prefix: str
    folder: str
    table: str


PARTS = {
    "train": Part("train", "train_fixed", "train"),
    "validation": Part("dev", "dev_fixed", "dev"),
    "test": Part("valid", "valid_fixed", "validation"),
}
"""CT-RATE has two splits and calls the one that is tested on validation; `dev` is ours."""

INDEX = "index.csv"
INDEX_COLUMNS = ("VolumeName", "split", "patient_id", "study_id", "volume_id", "why_not")
NO_SPLIT = "the patient has no split yet: run pair"

REPORT_COLUMNS = {
    "ClinicalInformation_EN": "clinical_information",
    "Technique_EN": "technique",
    "Findings_EN": "findings",
    "Impressions_EN": "impression",
}
METADATA_COLUMNS = (
    "VolumeName", "Manufacturer", "SeriesDescription", "ConvolutionKernel", "PatientSex",
    "PatientAge", "StudyDate", "ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns",
    "NumberofSlices", "RescaleIntercept", "RescaleSlope", "XYSpacing", "ZSpacing",
)  # fmt: skip
LPS_OF_RAS = np.array([-1.0, -1.0, 1.0])


class Named(NamedTuple):
    """A scan with its name, as train_12_a, and the names of its volumes."""

    name: str
    scan: Scan
    volumes: tuple[tuple[str, VolumeFile], ...]


def write(
    store: Store,
    draft: Draft,
    progress: Callable[[int, int], None],
    *,
    vocabulary: Vocabulary,
    placing: Placing,
) -> None:
    """Write `dataset/` as the download of CT-RATE lays it out (its version 2), and `index.csv`.

    Patients are numbered within their split in the order of their ids, scans lettered by date,
    reconstructions numbered. Volumes are in HU with true headers, so slope and intercept are 1 and
    0. The index leads from names to ids, and lists what was left out, each with the reason.

    Raises:
        InputError: volumes cannot be linked.
        StoreError: a table or a volume cannot be read.
    """
    check_placing(store, placing)
    tables = Relations(store)
    listed = listed_studies(tables)
    index: list[Sequence[str]] = [
        ("", "", one.patient_id, one.study_id, "", NO_SPLIT) for one in listed if not one.split
    ]
    done = len(index)
    for split, part in PARTS.items():
        found = []
        for one in _named(tables, [study for study in listed if study.split == split], part):
            _place(store, draft, one, part, placing)
            index += [
                (name, split, *one.scan.listed[:2], volume.volume_id, "")
                for name, volume in one.volumes
            ]
            found.append(one)
            done += 1
            progress(done, len(listed))
        if found:
            _write_tables(draft, tables, found, part, vocabulary)
    write_csv(draft, INDEX, INDEX_COLUMNS, index)


def _place(store: Store, draft: Draft, one: Named, part: Part, placing: Placing) -> None:
    folder = f"dataset/{part.folder}/{one.name.rsplit('_', 1)[0]}/{one.name}"
    for name, volume in one.volumes:
        place(store, draft, volume.path, f"{folder}/{name}", placing)


def _write_tables(
    draft: Draft, tables: Relations, found: Sequence[Named], part: Part, vocabulary: Vocabulary
) -> None:
    """The reports, metadata and labels of a split."""
    told = [one for one in found if one.scan.report is not None]
    # CT-RATE's table names a scan by its first reconstruction
    reports = ([one.volumes[0][0], *_texts(one.scan.report or {})] for one in told)
    path = f"dataset/radiology_text_reports/{part.table}_reports.csv"
    write_csv(draft, path, ["VolumeName", *REPORT_COLUMNS], reports)
    metadata = (_metadata(name, one.scan, volume) for one in found for name, volume in one.volumes)
    write_csv(draft, f"dataset/metadata/{part.table}_metadata.csv", METADATA_COLUMNS, metadata)
    wanted = vocabulary.label_set("ct_rate")
    names = {one.scan.listed.study_id: [name for name, _ in one.volumes] for one in told}
    labels = (
        [name, *values.values()]
        for study, values in labels_of(tables, list(names), wanted, vocabulary)
        for name in names[study]
    )
    path = f"dataset/multi_abnormality_labels/{part.prefix}_predicted_labels.csv"
    write_csv(draft, path, ["VolumeName", *wanted.labels], labels)


def _texts(report: Mapping[str, str]) -> Iterator[str]:
    return (report.get(column, "") for column in REPORT_COLUMNS.values())


def letters(number: int) -> str:
    """Name of a scan by its number from 0: a to z, then aa, ab, ..."""
    name = ""
    while number >= 0:
        number, rest = divmod(number, 26)
        name = chr(ord("a") + rest) + name
        number -= 1
    return name


def _named(tables: Relations, studies: Sequence[Listed], part: Part) -> Iterator[Named]:
    patients = {patient: n for n, patient in enumerate(sorted({s.patient_id for s in studies}), 1)}
    scans_of: dict[str, int] = defaultdict(int)
    for scan in scans(tables, studies):
        patient = scan.listed.patient_id
        name = f"{part.prefix}_{patients[patient]}_{letters(scans_of[patient])}"
        scans_of[patient] += 1
        volumes = ((f"{name}_{n}.nii.gz", one) for n, one in enumerate(scan.volumes, 1))
        yield Named(name, scan, tuple(volumes))


def _metadata(name: str, scan: Scan, volume: VolumeFile) -> list[object]:
    affine = np.reshape(volume.affine_ras, (4, 4))
    spacing = np.asarray(volume.spacing_mm)
    # unit vectors along i (a row of pixels) and j (a column), in DICOM's LPS
    along = (affine[:3, :2] / spacing[:2] * LPS_OF_RAS[:, None]).T
    age = "" if volume.age_years is None else f"{int(volume.age_years):03d}Y"
    columns, rows, slices = volume.shape
    return [
        name, volume.manufacturer, volume.series_description, volume.kernel, volume.sex, age,
        (scan.listed.acquired_on or "").replace("-", ""),
        _numbers(affine[:3, 3] * LPS_OF_RAS), _numbers(along.ravel()), rows, columns, slices, 0, 1,
        _numbers(spacing[:2]), f"{spacing[2]:g}",
    ]  # fmt: skip


def _numbers(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    # adding 0 turns -0.0 into 0.0
    return "[" + ", ".join(repr(round(float(value), 6) + 0.0) for value in values) + "]"
