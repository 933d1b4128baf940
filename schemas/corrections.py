"""Table `corrections`: how a person says that a report is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The line of `parse.corrections` that is of a report."""

    report_id: Annotated[str, Column(STRING, "keyed id of the report")]
    document_sha256: Annotated[
        str, Column(STRING, "SHA-256 of the scrubbed text that it is of; it holds for no other")
    ]
    sentences: Annotated[
        str, Column(STRING, "JSON of its sentences and what they say (docs/reports.md)")
    ]


TABLE = table("corrections", Correction, primary_key=("report_id",), replaced_by="report_id")
