"""The export `dicom`: segmentations, reports and observations of every study, and their index."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import StoreError
from fvlm_data.export.dicom.concepts import finding_concepts
from fvlm_data.export.dicom.curated import curated_studies, study_ids
from fvlm_data.export.dicom.observations import bundle_line
from fvlm_data.export.dicom.report import structured_report
from fvlm_data.export.dicom.scores import read_scores
from fvlm_data.export.dicom.segmentation import segmentation
from fvlm_data.segment.nifti import NiftiError, read_nifti
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pydicom

    from fvlm_data.export.dicom.curated import LabelMap, Study, Volume
    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

OBSERVATIONS = "observations.ndjson"
INDEX = "index.csv"
COLUMNS = (
    "file", "kind", "patient_id", "study_id", "volume_id", "task",
    "study_uid", "series_uid", "instance_uid",
)  # fmt: skip


def write(
    store: Store,
    draft: Draft,
    progress: Callable[[int, int], None],
    *,
    vocabulary: Vocabulary,
    scores: Path | None,
) -> None:
    """Write the objects of each study in a folder of its id, `observations.ndjson`, `index.csv`.

    Raises:
        InputError: the file of scores is not right.
        StoreError: a table or a label map cannot be read.
    """
    tables = Relations(store)
    studies = study_ids(tables)
    scored = read_scores(scores, studies) if scores is not None else {}
    codes = finding_concepts(vocabulary)
    index = io.StringIO(newline="")
    lines = csv.writer(index, lineterminator="\n")
    lines.writerow(COLUMNS)
    with draft.open(OBSERVATIONS) as told:
        for done, study in enumerate(curated_studies(tables, studies), 1):
            for row, made in _segmentations(store, study):
                lines.writerow(_written(draft, study, row, made))
            if study.findings:
                number = len(study.label_maps) + 1
                made = structured_report(study, codes, number)
                row = (f"{study.study_id}/report.dcm", "report", "", "")
                lines.writerow(_written(draft, study, row, made))
            line = bundle_line(study, scored.get(study.study_id, ()), codes)
            if line is not None:
                told.write(line)
            progress(done, len(studies))
    draft.write(INDEX, index.getvalue().encode("utf-8"))


def _segmentations(
    store: Store, study: Study
) -> Iterator[tuple[tuple[str, str, str, str], pydicom.Dataset]]:
    volumes = {volume.volume_id: volume for volume in study.volumes}
    for number, label_map in enumerate(study.label_maps, 1):
        volume = volumes[label_map.volume_id]
        made = segmentation(study, volume, label_map, _labels(store, volume, label_map), number)
        file = f"{study.study_id}/{volume.volume_id}.{label_map.task}.dcm"
        yield (file, "segmentation", volume.volume_id, label_map.task), made


def _labels(store: Store, volume: Volume, label_map: LabelMap) -> Any:
    """Values (i, j, k) of a label map."""
    try:
        labels = read_nifti(store.read_bytes(label_map.path)).data
    except NiftiError as error:
        raise StoreError(
            f"store {store.url}: {label_map.path} {error}; run `fvlm-data verify`"
        ) from error
    if labels.shape != tuple(volume.shape):
        raise StoreError(
            f"store {store.url}: {label_map.path} has {labels.shape} voxels, expected those of its "
            f"volume, {tuple(volume.shape)}; run `fvlm-data verify`"
        )
    return labels


def _written(
    draft: Draft, study: Study, row: tuple[str, str, str, str], made: Any
) -> tuple[str, ...]:
    """Write an object; returns its line of the index."""
    file, kind, volume, task = row
    with draft.open(file) as handle:
        made.save_as(handle, enforce_file_format=True)
    uids = (made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)
    return (file, kind, study.patient_id, study.study_id, volume, task, *map(str, uids))
