"""The model of what a mapping in a file of a vocabulary holds."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """What a mapping of a file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
