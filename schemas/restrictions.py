"""Table `restrictions`: purposes for which data of a patient or study may not be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, Column, table

STATES = ("refused", "allowed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """What was last said of one purpose; what a patient refuses holds for all studies."""

    owner_kind: Annotated[
        str, Column(STRING, "whose data it is about", allowed=("patient", "study"))
    ]
    owner_id: Annotated[
        str, Column(STRING, "keyed id of the patient or study; it may be of none that came yet")
    ]
    purpose: Annotated[str, Column(STRING, "purpose, as a snake_case code of the site's own")]
    state: Annotated[str, Column(STRING, "refused, or allowed again after that", allowed=STATES)]
    said_on: Annotated[str, Column(STRING, "when it was recorded, UTC, ISO 8601 date")]


TABLE = table(
    "restrictions", Restriction, primary_key=("owner_id", "purpose"), replaced_by="owner_id"
)
