"""Table `study_reports`: which reports speak of which study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import INT32, STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyReport:
    """One report of one study; many to many."""

    study_id: Annotated[str, Column(STRING, "keyed id of the study")]
    report_id: Annotated[str, Column(STRING, "keyed id of the report")]
    matched_by: Annotated[str, Column(STRING, "strongest kind of link that joined them")]
    order: Annotated[int, Column(INT32, "place among the study's reports, from 0")]


TABLE = table(
    "study_reports", StudyReport, primary_key=("study_id", "report_id"), replaced_by="study_id"
)
