"""The layout of Merlin's abdominal CT: a volume a study, reports and labels by its study id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.export.labels import labels_of
from fvlm_data.export.layouts.scans import listed_studies, scans
from fvlm_data.export.layouts.tables import write_csv
from fvlm_data.export.layouts.volumes import check_placing, place
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fvlm_data.export.layouts.scans import VolumeFile
    from fvlm_data.export.layouts.volumes import Placing
    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

FOLDER = "merlin_data"
REPORTS = "reports_final.csv"
LABELS = "zero_shot_findings_disease_cls.csv"
INDEX = "index.csv"
INDEX_COLUMNS = ("study id", "split", "patient_id", "volume_id", "why_not")
REPORT_COLUMNS = {"Findings": "findings", "Impressions": "impression"}

SPLIT_NAMES = {"train": "train", "validation": "val", "test": "test"}
NO_SPLIT = "the patient has no split yet: run pair"
ANOTHER = "the layout has one volume a study; the one with more slices was taken"


def write(
    store: Store,
    draft: Draft,
    progress: Callable[[int, int], None],
    *,
    vocabulary: Vocabulary,
    placing: Placing,
) -> None:
    """Write `merlin_data/<study id>.nii.gz`, reports and labels as the download of Merlin has them.

    Volumes are in HU. Merlin has one volume a study: the one of most slices is taken, the others
    stand in `index.csv` with the reason, as do studies of patients without a split.

    Raises:
        InputError: volumes cannot be linked.
        StoreError: a table or a volume cannot be read.
    """
    check_placing(store, placing)
    tables = Relations(store)
    listed = listed_studies(tables)
    index: list[Sequence[str]] = []
    reports: list[Sequence[str]] = []
    for done, scan in enumerate(scans(tables, listed), 1):
        patient, study, split, _ = scan.listed
        first, *others = sorted(scan.volumes, key=_most_slices)
        if split is None:
            index += [(study, "", patient, one.volume_id, NO_SPLIT) for one in scan.volumes]
        else:
            place(store, draft, first.path, f"{FOLDER}/{study}.nii.gz", placing)
            index.append((study, split, patient, first.volume_id, ""))
            index += [(study, split, patient, one.volume_id, ANOTHER) for one in others]
            if scan.report is not None:
                told = [scan.report.get(column, "") for column in REPORT_COLUMNS.values()]
                reports.append([study, *told, SPLIT_NAMES[split]])
        progress(done, len(listed))
    # the download has a workbook, whose cells would cut a report at 32,767 characters
    write_csv(draft, REPORTS, ["study id", *REPORT_COLUMNS, "Split"], reports)
    wanted = vocabulary.label_set("merlin")
    labelled = labels_of(tables, [row[0] for row in reports], wanted, vocabulary)
    rows = ([study, *labels.values()] for study, labels in labelled)
    write_csv(draft, LABELS, ["study id", *wanted.labels], rows)
    write_csv(draft, INDEX, INDEX_COLUMNS, index)


def _most_slices(volume: VolumeFile) -> tuple[int, str]:
    return -volume.shape[2], volume.volume_id
