"""Table `report_matches`: whom and which studies a report may be about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportMatch:
    """A study that a report speaks of, or a patient whom it may be about."""

    report_id: Annotated[str, Column(STRING, "keyed id of the report")]
    owner_kind: Annotated[
        str,
        Column(
            STRING,
            "study: joined to it; patient: may be about; link: no patient known, the hash of one "
            "of its links",
            allowed=("study", "patient", "link"),
        ),
    ]
    owner_id: Annotated[str, Column(STRING, "id of the study or patient, or hash of the link")]
    matched_by: Annotated[
        str, Column(STRING, "strongest kind of link that joined the study; else empty")
    ]


TABLE = table(
    "report_matches",
    ReportMatch,
    primary_key=("report_id", "owner_kind", "owner_id"),
    replaced_by="report_id",
)
