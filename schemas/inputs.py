"""Table `inputs`: all that the outside ever offered; what conservation counts.

Image files (`file`) and report rows (`report`) are counted; masks, rows of a mapping CSV, lines of
a split file, and what a clinical file holds of a patient, stand here too, so that what an item is
made from is told by tables alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import INT64, STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input file, or one row of a report file, mapping, mask manifest or split file."""

    kind: Annotated[
        str,
        Column(
            STRING,
            "what it is",
            allowed=("file", "report", "mask", "mapping", "split", "clinical"),
        ),
    ]
    token: Annotated[
        str, Column(STRING, "keyed token (or plain relative path) of the file or report row")
    ]
    source: Annotated[str, Column(STRING, "keyed token (or plain name) of the source")]
    item: Annotated[
        str | None,
        Column(
            STRING,
            "series, report, volume or patient that it became part of (of clinical: keyed hash of "
            "the patient's number); none: set aside at discovery",
            nullable=True,
        ),
    ]
    fingerprint: Annotated[
        str, Column(STRING, "hash of what identifies its content (never of path or time)")
    ]
    size_bytes: Annotated[int, Column(INT64, "size", "bytes")]
    modified_ns: Annotated[
        int,
        Column(
            INT64,
            "modification time: only spares a second reading (not compared)",
            "ns",
            compared=False,
        ),
    ]
    inode: Annotated[
        int | None,
        Column(
            INT64,
            "number of the file in its file system (of a member: of its archive): only spares a "
            "second reading (not compared); missing in rows that were written before the column "
            "came",
            nullable=True,
            compared=False,
        ),
    ] = None
    series: Annotated[
        str | None,
        Column(STRING, "keyed hash of the SeriesInstanceUID that its header names", nullable=True),
    ] = None
    study: Annotated[
        str | None,
        Column(STRING, "keyed hash of the StudyInstanceUID that its header names", nullable=True),
    ] = None
    alike: Annotated[
        str | None,
        Column(
            STRING,
            "keyed hash of its folder and of its name without numbers: what the files of one "
            "series share even where they cannot be read",
            nullable=True,
        ),
    ] = None
    series_instances: Annotated[
        int | None,
        Column(INT64, "instances of its series as header or server counts them", nullable=True),
    ] = None
    study_instances: Annotated[
        int | None,
        Column(INT64, "instances of its study as header or server counts them", nullable=True),
    ] = None


TABLE = table(
    "inputs", Input, primary_key=("kind", "token"), replaced_by="token", partition_by=("kind",)
)
