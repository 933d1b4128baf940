"""Table `findings`: the finding mentions of each report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import FLOAT64, INT32, STRING, STRINGS, Column, table

STATUSES = ("present", "absent", "uncertain", "historical", "hypothetical", "family")
CHANGES = ("new", "increased", "decreased", "stable", "resolved")
LATERALITIES = ("left", "right", "bilateral")
CONFIDENCES = ("high", "medium", "low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mention of a finding, and what the report asserts of it."""

    report_id: Annotated[str, Column(STRING, "keyed id of the report")]
    sentence: Annotated[int, Column(INT32, "number of its sentence")]
    start: Annotated[int, Column(INT32, "first character of the mention", "characters")]
    end: Annotated[int, Column(INT32, "one past the last character", "characters")]
    finding: Annotated[str, Column(STRING, "finding id of the vocabulary")]
    anatomy: Annotated[str, Column(STRING, "anatomy id that it is about")]
    status: Annotated[str, Column(STRING, "what is asserted", allowed=STATUSES)]
    laterality: Annotated[str | None, Column(STRING, "side", nullable=True, allowed=LATERALITIES)]
    severity: Annotated[str | None, Column(STRING, "mild, moderate, severe", nullable=True)]
    size_mm: Annotated[
        float | None, Column(FLOAT64, "largest stated dimension", "mm", nullable=True)
    ]
    count: Annotated[str | None, Column(STRING, "stated number; few, multiple", nullable=True)] = (
        None
    )
    location: Annotated[
        str | None, Column(STRING, "words that say where it lies", nullable=True)
    ] = None
    change: Annotated[
        str | None, Column(STRING, "change over time", nullable=True, allowed=CHANGES)
    ] = None
    prior_size_mm: Annotated[
        float | None,
        Column(FLOAT64, "largest dimension stated of an earlier examination", "mm", nullable=True),
    ] = None
    decided_by: Annotated[
        str | None, Column(STRING, "rule that told the status (docs/reports.md)", nullable=True)
    ] = None
    cue_start: Annotated[
        int | None,
        Column(INT32, "first character of the cue that told it", "characters", nullable=True),
    ] = None
    cue_end: Annotated[
        int | None, Column(INT32, "one past the cue's last character", "characters", nullable=True)
    ] = None
    doubts: Annotated[
        tuple[str, ...] | None,
        Column(STRINGS, "why another reading was close (docs/reports.md), sorted", nullable=True),
    ] = None
    confidence: Annotated[
        str | None,
        Column(
            STRING,
            "how far the doubts let it be trusted; none: read by an older program",
            nullable=True,
            allowed=CONFIDENCES,
        ),
    ] = None


TABLE = table(
    "findings",
    Finding,
    primary_key=("report_id", "sentence", "start", "end", "finding", "anatomy"),
    replaced_by="report_id",
)
