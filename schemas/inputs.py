"""Table `inputs`: every file and report row that was ever offered; what conservation counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import INT64, STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input file, or one row of a report file."""

    kind: Annotated[str, Column(STRING, "what it is", allowed=("file", "report"))]
    token: Annotated[
        str, Column(STRING, "keyed token (or plain relative path) of the file or report row")
    ]
    source: Annotated[str, Column(STRING, "name of the source in the configuration")]
    item: Annotated[
        str | None,
        Column(
            STRING,
            "series or report that it became part of; none: set aside at discovery",
            nullable=True,
        ),
    ]
    fingerprint: Annotated[
        str, Column(STRING, "hash of what identifies its content (never of path or time)")
    ]
    size_bytes: Annotated[int, Column(INT64, "size", "bytes")]
    modified_ns: Annotated[
        int, Column(INT64, "modification time: only spares a second reading (not compared)", "ns")
    ]


TABLE = table(
    "inputs", Input, primary_key=("kind", "token"), replaced_by="token", partition_by=("kind",)
)
