"""Table `report_versions`: which reports a later one takes the place of, or withdraws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportVersion:
    """What the other reports of its request say of a report."""

    report_id: Annotated[str, Column(STRING, "keyed id of the report")]
    successor: Annotated[
        str | None,
        Column(STRING, "latest report that it is set aside for; none: it stands", nullable=True),
    ]
    reason: Annotated[
        str | None,
        Column(
            STRING,
            "why it is set aside",
            nullable=True,
            allowed=("corrected_report", "withdrawn_report", "repeated_report"),
        ),
    ]
    language: Annotated[
        str | None,
        Column(
            STRING,
            "further language (vocabulary.languages) by whose words it is read; none: the store's "
            "own (vocabulary.language)",
            nullable=True,
        ),
    ] = None


TABLE = table("report_versions", ReportVersion, primary_key=("report_id",), replaced_by="report_id")
