"""Stage `density`: how much of each volume is denser than a threshold."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fvlm_data.segment.nifti import read_nifti
from fvlm_data.store.declared import Outcome, Read, Stage, StageEntry, guarded, reject
from schemas import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.store.declared import Batch, Inputs

NAME = "density"


class DensityConfig(BaseModel):
    """Section `density` of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    above_hu: int = Field(default=300, description="density above which a voxel counts, HU")


def build(config: Any) -> Stage:
    section = DensityConfig.model_validate(config.density)
    return Stage(
        name=NAME,
        version=1,
        settings=section.model_dump(mode="json"),
        tables=("measures",),
        partition={"measures": {"stage": NAME}},
        items="SELECT volume_id AS item FROM volumes",
        reads=(Read("volume", "volumes", "volume_id", ("content_sha256",), carries=("path",)),),
        make=partial(make, section),
        batch_size=8,
    )


def make(section: DensityConfig, batch: Batch) -> Iterator[Outcome]:
    for one in batch.inputs:
        yield guarded(one.item, partial(measure, section, batch, one))


def measure(section: DensityConfig, batch: Batch, one: Inputs) -> Outcome:
    (volume,) = one.rows["volume"]
    image_hu = read_nifti(batch.file(volume["path"])).data
    if not (image_hu > section.above_hu).any():
        detail = f"no voxel lies above {section.above_hu} HU, expected bone; look at the volume"
        return reject(one.item, "out_of_scope", "nothing_dense", detail)
    share = float(np.mean(image_hu > section.above_hu))
    row = Measure(stage=NAME, item=one.item, name="dense_share", value=share, unit="1")
    return Outcome(one.item, {"measures": [row]})


DENSITY = StageEntry(name=NAME, build=build, commands=(), after="segment", section=DensityConfig)
