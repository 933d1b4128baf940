"""Table `decisions`: what reviewers said of studies, masks, sentences, findings and pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import BOOL, STRING, Column, table

KINDS = ("study", "mask", "sentence", "finding", "pair")
VERDICTS = ("right", "wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One verdict of one reviewer on one version of one thing; it changes nothing until applied."""

    decision_id: Annotated[str, Column(STRING, "hash of the decision, its application left out")]
    kind: Annotated[str, Column(STRING, "what was judged", allowed=KINDS)]
    subject: Annotated[
        str, Column(STRING, "ids and names that say which, joined by colons (docs/review.md)")
    ]
    study_id: Annotated[
        str | None, Column(STRING, "study that was judged, or that holds the mask", nullable=True)
    ] = None
    volume_id: Annotated[str | None, Column(STRING, "volume of a mask", nullable=True)] = None
    report_id: Annotated[
        str | None, Column(STRING, "report of a sentence or finding", nullable=True)
    ] = None
    other_study_id: Annotated[
        str | None, Column(STRING, "the second study of a pair", nullable=True)
    ] = None
    verdict: Annotated[str, Column(STRING, "what was said", allowed=VERDICTS)]
    reason: Annotated[str, Column(STRING, "why, as a snake_case code without identities")]
    correction: Annotated[
        str | None, Column(STRING, "JSON of what is right instead", nullable=True)
    ] = None
    reviewer: Annotated[str, Column(STRING, "who said it, by role")]
    decided_at: Annotated[str, Column(STRING, "when, UTC, ISO 8601 to the second")]
    version: Annotated[str, Column(STRING, "SHA-256 of what was judged: it holds for no other")]
    applied: Annotated[bool, Column(BOOL, "whether it is to change what is derived")] = False


TABLE = table("decisions", Decision, primary_key=("decision_id",), replaced_by="decision_id")
