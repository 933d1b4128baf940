"""Table `reports`: scrubbed report texts and their sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pyarrow as pa

from schemas.table import BOOL, INT32, STRING, Column, table

SECTIONS = pa.list_(pa.struct([("name", pa.string()), ("start", pa.int32()), ("end", pa.int32())]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report; offsets everywhere are characters of `text`."""

    report_id: Annotated[str, Column(STRING, "keyed id of the report")]
    text: Annotated[str, Column(STRING, "text with identities replaced by placeholders")]
    sections: Annotated[
        tuple[dict[str, Any], ...],
        Column(SECTIONS, "name, start, end of each section's content", "characters"),
    ]
    source_files: Annotated[
        tuple[str, ...], Column(pa.list_(pa.string()), "token (or plain path) of its source file")
    ]
    document_sha256: Annotated[
        str,
        Column(
            STRING,
            "SHA-256 of `text`, by which corrections name it; empty: read by an older program",
        ),
    ] = ""
    issued: Annotated[
        str | None,
        Column(
            STRING,
            "time of issue, moved as the dates of the patient: YYYY-MM-DD, Thh:mm:ss as far as "
            "told; none: not told, or no single patient known yet",
            nullable=True,
        ),
    ] = None
    addendum: Annotated[bool, Column(BOOL, "whether it only adds to another report")] = False
    procedure_hash: Annotated[
        str | None,
        Column(STRING, "keyed hash of the procedure's code; none: not told", nullable=True),
    ] = None
    language: Annotated[
        str | None,
        Column(
            STRING,
            "language by whose vocabulary it was read; none: read by an older program",
            nullable=True,
        ),
    ] = None
    file_row: Annotated[
        int,
        Column(INT32, "number of the report in its file, from 0 (not compared)", compared=False),
    ] = 0


TABLE = table("reports", Report, primary_key=("report_id",), replaced_by="report_id")
