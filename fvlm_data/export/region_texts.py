"""Sentences by the anatomies that they speak of: `region_report.csv`, as RadGenome-Chest CT has it.

RadGenome-Chest CT (arXiv 2404.16754) gives the texts of regions as rows Volumename, Anatomy,
Sentence; what is behind them are columns of ours.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from fvlm_data.reports.language.records import ASSERTING_SECTIONS
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store

FILE = "region_report.csv"
COLUMNS = ("Volumename", "Anatomy", "Sentence", "split", "assessment", "report_id", "start", "end")
STUDIES_AT_ONCE = 500

STUDIES = "SELECT DISTINCT study_id FROM study_reports ORDER BY study_id"

NAMES = """
SELECT v.study_id, {name}, any_value(s.split)
FROM volumes v LEFT JOIN splits s ON s.patient_id = v.patient_id
WHERE v.study_id IN (SELECT unnest($studies)) GROUP BY ALL ORDER BY ALL
"""

SENTENCES = """
SELECT j.study_id, unnest(s.anatomies), s.text, unnest(s.assessments), s.report_id, s.start, s."end"
FROM study_reports j JOIN sentences s ON s.report_id = j.report_id
WHERE j.study_id IN (SELECT unnest($studies)) AND s.section IN (SELECT unnest($sections))
ORDER BY j.study_id, j."order", s.report_id, s.sentence, 2
"""


def write(
    store: Store, draft: Draft, progress: Callable[[int, int], None], *, by_volume: bool
) -> None:
    """Write `region_report.csv`: a row for each anatomy that a sentence speaks of.

    Sentences of sections that tell what the examination shows, in the order of the report; of a
    study with several volumes each has them (`by_volume`), or the study itself. `assessment` is
    abnormal, normal or neutral; `start` and `end` are characters of the report's text.

    Raises:
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    studies = [study for (study,) in tables.rows(STUDIES)]
    query = NAMES.format(name="v.volume_id || '.nii.gz'" if by_volume else "v.study_id")
    with draft.open(FILE) as handle:
        text = io.TextIOWrapper(handle, "utf-8", newline="")
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(COLUMNS)
        for start in range(0, len(studies), STUDIES_AT_ONCE):
            chosen = {"studies": studies[start : start + STUDIES_AT_ONCE]}
            said: dict[str, list[tuple[object, ...]]] = {}
            asked = {**chosen, "sections": sorted(ASSERTING_SECTIONS)}
            for study, *row in tables.rows(SENTENCES, asked):
                said.setdefault(study, []).append(tuple(row))
            for study, name, split in tables.rows(query, chosen):
                for anatomy, sentence, assessment, *source in said.get(study, ()):
                    lines.writerow([name, anatomy, sentence, split, assessment, *source])
            progress(min(start + STUDIES_AT_ONCE, len(studies)), len(studies))
        text.detach()  # flushed, and the file left to the draft
