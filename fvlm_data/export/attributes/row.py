"""The rows of attributes.parquet and counterfactual_pairs.parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from schemas.findings import CHANGES, LATERALITIES
from schemas.splits import SPLITS
from schemas.table import FLOAT64, INT32, STRING, STRINGS, Column, table

STATUSES = ("present", "uncertain")
SHOTS = ("many", "medium", "few")
ABSENCES = ("denied", "normal_stated")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRow:
    """One finding that a study's reports assert: what it is like, and the organ and patient."""

    patient_id: Annotated[str, Column(STRING, "keyed id of the patient")]
    split: Annotated[
        str | None,
        Column(STRING, "split of the patient; none: not split yet", nullable=True, allowed=SPLITS),
    ]
    study_id: Annotated[str, Column(STRING, "keyed id of the study")]
    sample_ids: Annotated[tuple[str, ...], Column(STRINGS, "samples of the study, sorted")]
    anatomy: Annotated[str, Column(STRING, "pathology: anatomy id")]
    finding: Annotated[str, Column(STRING, "pathology: finding id")]
    status: Annotated[str, Column(STRING, "pathology: what is asserted", allowed=STATUSES)]
    laterality: Annotated[
        str | None, Column(STRING, "pathology: side", nullable=True, allowed=LATERALITIES)
    ]
    severity: Annotated[
        str | None, Column(STRING, "pathology: mild, moderate, severe", nullable=True)
    ]
    size_mm: Annotated[
        float | None, Column(FLOAT64, "pathology: largest dimension", "mm", nullable=True)
    ]
    count: Annotated[
        str | None, Column(STRING, "pathology: stated number; few, multiple", nullable=True)
    ]
    location: Annotated[
        str | None, Column(STRING, "pathology: words that say where it lies", nullable=True)
    ]
    lobes: Annotated[tuple[str, ...], Column(STRINGS, "pathology: lobes that these words name")]
    change: Annotated[
        str | None,
        Column(STRING, "pathology: change over time", nullable=True, allowed=CHANGES),
    ]
    anatomy_ml: Annotated[
        float | None,
        Column(FLOAT64, "structure: volume of the anatomy's mask, largest of the study's volumes",
               "ml", nullable=True),
    ]  # fmt: skip
    anatomy_cut: Annotated[
        bool | None,
        Column(pa.bool_(), "structure: that mask lies on a face of the volume", nullable=True),
    ]
    age_years: Annotated[
        int | None, Column(INT32, "structure: age at the study", "years", nullable=True)
    ]
    sex: Annotated[str | None, Column(STRING, "structure: F, M or O", nullable=True)]
    train_patients: Annotated[
        int | None,
        Column(INT32, "patients of split train in whom the finding is present; none: nobody is in "
               "split train", nullable=True),
    ]  # fmt: skip
    shots: Annotated[
        str | None,
        Column(STRING, "many, medium or few of them", nullable=True, allowed=SHOTS),
    ]
    source: Annotated[str, Column(STRING, "its sentence: report_id:start:end")]
    start: Annotated[int, Column(INT32, "first character of the mention", "characters")]


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterfactualPair:
    """Two studies of one patient, the same anatomy with a finding and without it."""

    patient_id: Annotated[str, Column(STRING, "keyed id of the patient")]
    split: Annotated[
        str | None,
        Column(STRING, "split of the patient; none: not split yet", nullable=True, allowed=SPLITS),
    ]
    anatomy: Annotated[str, Column(STRING, "anatomy id")]
    finding: Annotated[str, Column(STRING, "finding id")]
    laterality: Annotated[
        str | None,
        Column(STRING, "side; none: whatever side", nullable=True, allowed=LATERALITIES),
    ]
    study_with: Annotated[str, Column(STRING, "keyed id of the study in which it is present")]
    study_without: Annotated[str, Column(STRING, "keyed id of the study without it")]
    days: Annotated[
        int, Column(INT32, "from the one with it to the one without; below 0: that came first",
                    "days")
    ]  # fmt: skip
    absence: Annotated[
        str,
        Column(STRING, "how the other study's reports say that it is not there: they deny it, or "
               "call the anatomy normal and do not mention it", allowed=ABSENCES),
    ]  # fmt: skip
    size_mm: Annotated[
        float | None, Column(FLOAT64, "largest size where it is present", "mm", nullable=True)
    ]
    samples_with: Annotated[tuple[str, ...], Column(STRINGS, "samples with it, sorted")]
    samples_without: Annotated[tuple[str, ...], Column(STRINGS, "samples without it, sorted")]
    sources_with: Annotated[
        tuple[str, ...], Column(STRINGS, "sentences that tell it: report_id:start:end")
    ]
    sources_without: Annotated[
        tuple[str, ...], Column(STRINGS, "sentences that deny it or call the anatomy normal")
    ]
    remarks: Annotated[
        tuple[str, ...], Column(STRINGS, "what else to know of the pair, sorted (docs/export.md)")
    ]


ATTRIBUTES = table(
    "attributes",
    AttributeRow,
    primary_key=("study_id", "source", "start", "anatomy", "finding"),
    replaced_by="study_id",
)
COUNTERFACTUALS = table(
    "counterfactual_pairs",
    CounterfactualPair,
    primary_key=("study_with", "study_without", "anatomy", "finding", "laterality"),
    replaced_by="patient_id",
)
