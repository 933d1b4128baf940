"""Table `review_effects`: what applied decisions change, as stages read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.decisions import KINDS
from schemas.table import STRING, STRINGS, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewEffect:
    """One thing that review holds to be wrong now; derived from table `decisions`."""

    subject: Annotated[str, Column(STRING, "as in `decisions`")]
    kind: Annotated[str, Column(STRING, "what it is", allowed=KINDS)]
    study_id: Annotated[
        str | None, Column(STRING, "study that gives no sample, or the first of a pair",
                           nullable=True)
    ] = None  # fmt: skip
    volume_id: Annotated[
        str | None, Column(STRING, "volume that is without a mask of the anatomy", nullable=True)
    ] = None
    report_id: Annotated[
        str | None, Column(STRING, "report that is read otherwise", nullable=True)
    ] = None
    other_study_id: Annotated[
        str | None, Column(STRING, "second study of a pair", nullable=True)
    ] = None
    anatomy: Annotated[
        str | None, Column(STRING, "anatomy of a mask, finding or pair", nullable=True)
    ] = None
    version: Annotated[str, Column(STRING, "version of it that was judged")]
    reason: Annotated[str, Column(STRING, "reason of the last decision")]
    correction: Annotated[
        str | None, Column(STRING, "JSON of what is right instead, of the last decision",
                           nullable=True)
    ] = None  # fmt: skip
    decisions: Annotated[tuple[str, ...], Column(STRINGS, "ids of the decisions, sorted")]


TABLE = table("review_effects", ReviewEffect, primary_key=("subject",), replaced_by="subject")
