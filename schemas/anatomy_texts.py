"""Table `anatomy_texts`: what the reports of a study say of each anatomy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import INT64, STRING, STRINGS, Column, table

STATES = ("abnormal", "normal_stated", "not_mentioned")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnatomyText:
    """Text, state and signature of one anatomy in one study."""

    study_id: Annotated[str, Column(STRING, "keyed id of the study")]
    anatomy: Annotated[str, Column(STRING, "anatomy id")]
    text: Annotated[str, Column(STRING, "text to train on, never empty")]
    state: Annotated[str, Column(STRING, "state of the anatomy", allowed=STATES)]
    signature: Annotated[
        int, Column(INT64, "hash of the canonical set of (finding, status, laterality); 0: empty")
    ]
    findings: Annotated[
        tuple[str, ...], Column(STRINGS, "that set: finding|status|laterality, sorted")
    ]
    labels: Annotated[
        tuple[str, ...],
        Column(STRINGS, "ids of findings present or uncertain, with what they imply, sorted"),
    ]
    sources: Annotated[
        tuple[str, ...], Column(STRINGS, "sentences of the text: report_id:start:end, in order")
    ]


TABLE = table(
    "anatomy_texts", AnatomyText, primary_key=("study_id", "anatomy"), replaced_by="study_id"
)
