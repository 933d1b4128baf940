"""Section `qc`: the pages that show what a store holds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[int, Field(ge=0)]


class QcConfig(BaseModel):
    """Section `qc`: the pages that show what a store holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="write qc/index.html at the end of a run")
    studies: Number | Literal["all"] = Field(
        default=100,
        description="studies with a page of their own in qc/studies/, the first by id (ids are "
        "random); all: every study; a page costs some seconds once and a few MB",
    )
    faces: Literal["remove", "keep"] = Field(
        default="remove",
        description="what a study's page shows of a head: remove: the class face and 3 mm around "
        "it become air, a head without that class and a volume without masks are not shown; keep: "
        "all of it",
    )
    voxels: int = Field(
        default=192,
        ge=32,
        le=256,
        description="most voxels along an axis of a volume on such a page; larger ones are shrunk",
    )
