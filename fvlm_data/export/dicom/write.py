"""The export `dicom`: segmentations, reports and observations of every study, and their index."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import StoreError
from fvlm_data.export.dicom.concepts import finding_concepts
from fvlm_data.export.dicom.curated import curated_studies, study_ids
from fvlm_data.export.dicom.images import ct_images
from fvlm_data.export.dicom.observations import bundle_line
from fvlm_data.export.dicom.report import structured_report
from fvlm_data.export.dicom.scores import read_scores
from fvlm_data.export.dicom.segmentation import segmentation
from fvlm_data.segment.nifti import NiftiError, read_nifti
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pydicom

    from fvlm_data.export.dicom.concepts import Concept
    from fvlm_data.export.dicom.curated import Study, Volume
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
    images: bool,
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
            for row, made in _objects(store, study, codes, images=images):
                lines.writerow(_written(draft, study, row, made))
            line = bundle_line(study, scored.get(study.study_id, ()), codes)
            if line is not None:
                told.write(line)
            progress(done, len(studies))
    draft.write(INDEX, index.getvalue().encode("utf-8"))


def _objects(
    store: Store, study: Study, codes: Mapping[str, Concept], *, images: bool
) -> Iterator[tuple[tuple[str, str, str, str], pydicom.Dataset]]:
    """The objects of a study with file, kind, volume and task; a series has a number of its own."""
    folder = study.study_id
    number = 0
    volumes = {volume.volume_id: volume for volume in study.volumes}
    for name, volume in volumes.items() if images else ():
        number += 1
        hu = _voxels(store, volume, volume.path)
        for made in ct_images(study, volume, hu, number):
            file = f"{folder}/{name}.images/{made.InstanceNumber:04}.dcm"
            yield (file, "image", name, ""), made
    for label_map in study.label_maps:
        number += 1
        name, task = label_map.volume_id, label_map.task
        labels = _voxels(store, volumes[name], label_map.path)
        made = segmentation(study, volumes[name], label_map, labels, number, refer=images)
        yield (f"{folder}/{name}.{task}.dcm", "segmentation", name, task), made
    if study.findings:
        made = structured_report(study, codes, number + 1)
        yield (f"{folder}/report.dcm", "report", "", ""), made


def _voxels(store: Store, volume: Volume, path: str) -> Any:
    """Values (i, j, k) of a file on a volume's grid."""
    try:
        values = read_nifti(store.read_bytes(path)).data
    except NiftiError as error:
        raise StoreError(f"store {store.url}: {path} {error}; run `fvlm-data verify`") from error
    if values.shape != tuple(volume.shape):
        raise StoreError(
            f"store {store.url}: {path} has {values.shape} voxels, expected those of its "
            f"volume, {tuple(volume.shape)}; run `fvlm-data verify`"
        )
    return values


def _written(
    draft: Draft, study: Study, row: tuple[str, str, str, str], made: Any
) -> tuple[str, ...]:
    """Write an object; returns its line of the index."""
    file, kind, volume, task = row
    with draft.open(file) as handle:
        made.save_as(handle, enforce_file_format=True)
    uids = (made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)
    return (file, kind, study.patient_id, study.study_id, volume, task, *map(str, uids))
