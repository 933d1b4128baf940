"""Table `ledger`: which item is settled by which stage, under which key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One settled item of one stage; written after all its files and rows."""

    stage: Annotated[str, Column(STRING, "stage")]
    item: Annotated[str, Column(STRING, "id of the item")]
    key: Annotated[
        str, Column(STRING, "hash of input contents, the stage's configuration and version")
    ]
    outcome: Annotated[str, Column(STRING, "how it ended", allowed=("accepted", "set_aside"))]
    content: Annotated[
        str,
        Column(STRING, "hash of the outcome and of all rows and files made; none: not known"),
    ]
    parts: Annotated[
        str,
        Column(
            STRING,
            "what the key was made from, as label=hash in short: version, settings, and "
            "read.column of each column that decides",
        ),
    ]
    run_id: Annotated[
        str, Column(STRING, "run that settled it (not compared between runs)", compared=False)
    ]


TABLE = table(
    "ledger",
    LedgerRow,
    primary_key=("stage", "item"),
    replaced_by="item",
    partition_by=("stage",),
)
