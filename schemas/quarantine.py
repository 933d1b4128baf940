"""Table `quarantine`: everything set aside, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, STRINGS, Column, table

KINDS = ("fault", "out_of_scope", "duplicate", "not_selected", "superseded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One thing set aside by a stage, with a reason that a person can act on."""

    kind: Annotated[str, Column(STRING, "class of the reason", allowed=KINDS)]
    stage: Annotated[str, Column(STRING, "stage that set it aside")]
    item: Annotated[str, Column(STRING, "id or token of the item of that stage")]
    reason: Annotated[str, Column(STRING, "snake_case code")]
    detail: Annotated[str, Column(STRING, "what was found, what was expected, what to do")]
    source_files: Annotated[
        tuple[str, ...], Column(STRINGS, "tokens (or plain paths) of the files set aside with it")
    ]


TABLE = table(
    "quarantine",
    Quarantined,
    primary_key=("stage", "item", "reason", "detail"),
    replaced_by="item",
    partition_by=("stage",),
)
