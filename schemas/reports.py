"""Table `reports`: scrubbed report texts and their sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pyarrow as pa

from schemas.table import STRING, Column, table

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


TABLE = table("reports", Report, primary_key=("report_id",), replaced_by="report_id")
