"""What becomes of data of patients and studies that were forgotten, when it comes again."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fvlm_data.settings import DECIDES_NOTHING

Later = Literal["refuse", "wait"]

KIND = "out_of_scope"
REASONS = {"refuse": "forgotten", "wait": "forgotten_waits"}
DETAILS = {
    "refuse": "it is of a patient or study that was forgotten on request; it is not taken in, and "
    "nothing of it is kept; take it out of the source",
    "wait": "it is of a patient or study that was forgotten on request; it waits, and nothing of "
    "it is kept, until `fvlm-data forget --lift` lets it in again",
}
"""By what `forget.later` said when it was forgotten."""


class ForgetConfig(BaseModel):
    """Section `forget`: what becomes of forgotten patients and studies that come again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    later: Later = Field(
        default="refuse",
        description="files and reports of what is forgotten from now on, when a source offers them "
        "again: refuse sets them aside for good, wait until `fvlm-data forget --lift`",
        json_schema_extra=DECIDES_NOTHING,
    )


def told(later: str) -> tuple[str, str, str]:
    """Kind, reason and detail under which what comes again is set aside."""
    return KIND, REASONS[later], DETAILS[later]
