"""Table `waiting`: studies and reports that wait for their other half, series still arriving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One study, report or series that waits; derived from the other tables at each pairing."""

    owner_kind: Annotated[str, Column(STRING, "what waits", allowed=("study", "report", "series"))]
    owner_id: Annotated[str, Column(STRING, "keyed id of what waits")]
    waits_for: Annotated[
        str,
        Column(
            STRING,
            "what it waits for",
            allowed=("report", "study", "mask", "needs_review_of_names", "still_arriving"),
        ),
    ]
    since_run: Annotated[str, Column(STRING, "first run that saw it wait (not compared)")]


TABLE = table("waiting", Waiting, primary_key=("owner_kind", "owner_id"), replaced_by="owner_id")
