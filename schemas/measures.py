"""Table `measures`: what stages of other packages find, and words that may be names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import FLOAT64, STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One value that a stage found of one item.

    Stage `reports` tells `doubtful_names` where a scrubbed text has words that may be names (and
    `needs_review_of_names` where it is held for them), and `unfilled_blanks`, its sentences that
    are not read since a template's blank stands in them; `discover` when the last file of a series
    came that is `still_arriving`; stages of other packages what they like.
    """

    stage: Annotated[str, Column(STRING, "stage that found it")]
    item: Annotated[str, Column(STRING, "id of the item: of a volume, report, study or patient")]
    name: Annotated[str, Column(STRING, "what was found, by the stage's own name for it")]
    value: Annotated[float | None, Column(FLOAT64, "the value as a number", nullable=True)] = None
    unit: Annotated[str, Column(STRING, "unit of the number, empty where it has none")] = ""
    text: Annotated[str, Column(STRING, "the value in words, empty where it is a number")] = ""


TABLE = table(
    "measures",
    Measure,
    primary_key=("stage", "item", "name"),
    replaced_by="item",
    partition_by=("stage",),
)
