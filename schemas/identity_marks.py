"""Table `identity_marks`: that a header told names, never which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityMark:
    """What one series told of a patient's names, as a keyed hash.

    Reports are scrubbed by what the vault knows of their patients; when a header tells more, the
    mark changes and the reports are scrubbed anew.
    """

    owner_id: Annotated[
        str, Column(STRING, "patient id, or hash of a link where the images were refused")
    ]
    series_id: Annotated[str, Column(STRING, "series whose header told them")]
    mark: Annotated[str, Column(STRING, "keyed hash of the names, ids and dates")]


TABLE = table(
    "identity_marks",
    IdentityMark,
    primary_key=("owner_id", "series_id"),
    replaced_by="series_id",
)
