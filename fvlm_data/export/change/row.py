"""The rows of pairs_over_time.parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.splits import SPLITS
from schemas.table import FLOAT64, INT32, STRING, STRINGS, Column, table

STATES = (
    "present",
    "uncertain",
    "absent",
    "contradicted",
    "side_not_told",
    "not_mentioned",
    "no_report",
)
CHANGES = ("new", "larger", "smaller", "unchanged", "resolved")
STATED_BY = ("words", "sizes", "presence")
SIDES = ("left", "right")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """One finding of one anatomy and side, in a study and an earlier one of the same patient."""

    patient_id: Annotated[str, Column(STRING, "keyed id of the patient")]
    split: Annotated[
        str | None,
        Column(STRING, "split of the patient; none: not split yet", nullable=True, allowed=SPLITS),
    ]
    prior_study_id: Annotated[str, Column(STRING, "keyed id of the earlier study")]
    study_id: Annotated[str, Column(STRING, "keyed id of the current study")]
    days: Annotated[int, Column(INT32, "from the earlier study to the current one", "days")]
    studies_between: Annotated[int, Column(INT32, "studies of days between the two")]
    anatomy: Annotated[str, Column(STRING, "anatomy id")]
    finding: Annotated[str, Column(STRING, "finding id")]
    laterality: Annotated[
        str | None,
        Column(STRING, "side of the row; none: whatever side", nullable=True, allowed=SIDES),
    ]
    prior_state: Annotated[
        str, Column(STRING, "what the earlier study's reports say of it", allowed=STATES)
    ]
    state: Annotated[str, Column(STRING, "what the current reports say", allowed=STATES)]
    size_mm: Annotated[
        float | None, Column(FLOAT64, "largest size in the current reports", "mm", nullable=True)
    ]
    prior_size_mm: Annotated[
        float | None,
        Column(FLOAT64, "largest earlier size as the current reports give it", "mm", nullable=True),
    ]
    prior_report_size_mm: Annotated[
        float | None,
        Column(FLOAT64, "largest size in the earlier study's own reports", "mm", nullable=True),
    ]
    change_by_words: Annotated[
        str | None,
        Column(STRING, "change that a word tells", nullable=True, allowed=CHANGES),
    ]
    change_by_sizes: Annotated[
        str | None,
        Column(STRING, "change that two sizes tell", nullable=True, allowed=CHANGES),
    ]
    change_by_presence: Annotated[
        str | None,
        Column(STRING, "change that both states tell", nullable=True, allowed=CHANGES),
    ]
    change: Annotated[
        str | None,
        Column(STRING, "the label; none: nothing or no one thing is told", nullable=True,
               allowed=CHANGES),
    ]  # fmt: skip
    stated_by: Annotated[
        str | None, Column(STRING, "what tells the label", nullable=True, allowed=STATED_BY)
    ]
    conflicts: Annotated[
        tuple[str, ...], Column(STRINGS, "why no label is given, sorted (docs/export.md)")
    ]
    remarks: Annotated[
        tuple[str, ...], Column(STRINGS, "what else to know of the row, sorted (docs/export.md)")
    ]
    prior_sample_ids: Annotated[
        tuple[str, ...], Column(STRINGS, "samples of the earlier study, sorted")
    ]
    sample_ids: Annotated[tuple[str, ...], Column(STRINGS, "samples of the current study, sorted")]
    prior_sources: Annotated[
        tuple[str, ...], Column(STRINGS, "sentences of the earlier study: report_id:start:end")
    ]
    sources: Annotated[
        tuple[str, ...], Column(STRINGS, "sentences of the current study: report_id:start:end")
    ]


TABLE = table(
    "pairs_over_time",
    ChangeRow,
    primary_key=("prior_study_id", "study_id", "anatomy", "finding", "laterality"),
    replaced_by="patient_id",
)
