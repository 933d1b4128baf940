"""Table `clinical`: values about patients that are no images, each with its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import FLOAT64, INT64, STRING, Column, table

KINDS = ("demographic", "vital", "laboratory", "medication", "outcome")
BOUNDS = ("", "<", "<=", ">=", ">")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalValue:
    """One value of one patient, in the unit of its name.

    Rows are of patients with an accepted volume; who is to use them as features of an image takes
    only those from before its day (`export outcome` does).
    """

    patient_id: Annotated[str, Column(STRING, "keyed id of the patient")]
    number: Annotated[
        int, Column(INT64, "place among the values of the patient, ordered by their content")
    ]
    kind: Annotated[str, Column(STRING, "what it is", allowed=KINDS)]
    name: Annotated[
        str,
        Column(
            STRING,
            "id of the analyte (fvlm_data/clinical/analytes.yaml); of medications and outcomes the "
            "site's own code",
        ),
    ]
    value: Annotated[
        float, Column(FLOAT64, "the value in `unit`; of medications and outcomes 1 yes, 0 no")
    ]
    bound: Annotated[
        str,
        Column(STRING, "how the value lies to the one measured, empty: equal", allowed=BOUNDS),
    ]
    unit: Annotated[str, Column(STRING, "unit by UCUM, one for each name")]
    observed_on: Annotated[
        str | None,
        Column(
            STRING,
            "shifted date, with the time of the day (local) where that is told, ISO 8601; none: a "
            "constant of the patient, or an outcome that did not come",
            nullable=True,
        ),
    ]
    source: Annotated[str, Column(STRING, "token (or plain path) of the file that holds it")]


TABLE = table(
    "clinical", ClinicalValue, primary_key=("patient_id", "number"), replaced_by="patient_id"
)
