"""Table `cross_checks`: where a study's reports contradict its images, or may be versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import FLOAT64, STRING, STRINGS, Column, table

STRENGTHS = ("strong", "weak")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """One contradiction between what is said and what the masks show; weak ones are remarks."""

    study_id: Annotated[str, Column(STRING, "keyed id of the study")]
    check: Annotated[str, Column(STRING, "snake_case code of the check")]
    anatomy: Annotated[
        str | None, Column(STRING, "anatomy id; none: the whole report", nullable=True)
    ]
    strength: Annotated[
        str, Column(STRING, "strong: one of the two must be wrong", allowed=STRENGTHS)
    ]
    said: Annotated[
        str,
        Column(STRING, "finding|status|laterality, <anatomy> normal, regions, or two report ids"),
    ]
    sources: Annotated[
        tuple[str, ...], Column(STRINGS, "sentences that say so: report_id:start:end")
    ]
    volume_id: Annotated[str | None, Column(STRING, "volume that shows it", nullable=True)]
    quantity: Annotated[
        str | None, Column(STRING, "what was measured: volume_ml, ratio", nullable=True)
    ]
    measured: Annotated[float | None, Column(FLOAT64, "its value", "ml or none", nullable=True)]
    limit: Annotated[
        float | None, Column(FLOAT64, "where the check draws the line", "ml or none", nullable=True)
    ]
    detail: Annotated[str, Column(STRING, "what was said, what is shown, what to look at")]


TABLE = table(
    "cross_checks",
    CrossCheck,
    primary_key=("study_id", "check", "said"),
    replaced_by="study_id",
)
