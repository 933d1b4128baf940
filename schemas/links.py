"""Table `links`: keyed hashes of the names that the outside world gives our items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, Column, table

OWNER_KINDS = ("study", "series", "report", "patient")
LINK_KINDS = ("study_uid", "series_uid", "accession", "volume_name", "patient_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One external key of a study, series, report or patient, as a keyed hash."""

    owner_kind: Annotated[str, Column(STRING, "what is named", allowed=OWNER_KINDS)]
    owner_id: Annotated[str, Column(STRING, "keyed id of what is named")]
    kind: Annotated[str, Column(STRING, "which external key", allowed=LINK_KINDS)]
    value_hash: Annotated[str, Column(STRING, "fvlm_data.identity.ids.link_key of kind and value")]
    stated_by: Annotated[
        str, Column(STRING, "item whose commit stated it: series or report (rows leave with it)")
    ]


TABLE = table(
    "links",
    Link,
    primary_key=("owner_kind", "owner_id", "kind", "value_hash", "stated_by"),
    replaced_by="stated_by",
)
