"""Table `sentences`: the sentences of each report with the anatomies they speak of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import INT32, STRING, STRINGS, Column, table

SECTIONS = ("findings", "impression", "technique", "clinical_information", "comparison", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence; `reports.text[start:end] == text`."""

    report_id: Annotated[str, Column(STRING, "keyed id of the report")]
    sentence: Annotated[int, Column(INT32, "number of the sentence in its report, from 0")]
    start: Annotated[int, Column(INT32, "first character", "characters")]
    end: Annotated[int, Column(INT32, "one past the last character", "characters")]
    section: Annotated[
        str, Column(STRING, "findings, impression, technique, clinical_information, ...")
    ]
    text: Annotated[str, Column(STRING, "the sentence")]
    anatomies: Annotated[tuple[str, ...], Column(STRINGS, "anatomy ids, sorted")]
    assessments: Annotated[
        tuple[str, ...],
        Column(STRINGS, "what the sentence says of each anatomy: abnormal, normal or neutral"),
    ]
    language: Annotated[
        str | None,
        Column(
            STRING,
            "language that no vocabulary covers, so that the sentence is not read; none: covered",
            nullable=True,
        ),
    ] = None


TABLE = table("sentences", Sentence, primary_key=("report_id", "sentence"), replaced_by="report_id")
