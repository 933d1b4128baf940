"""Sections `train.flips`, `train.sampling` and `train.reading`: crops, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fvlm_data.settings import DECIDES_NOTHING, PLACE
from fvlm_train.config.section import Probability, Section


class FlipConfig(Section):
    """Probability of mirroring a crop along each axis."""

    z: Probability = Field(default=0.0, description="Up-down.")
    y: Probability = Field(default=0.0, description="Front-back.")
    x: Probability = Field(
        default=0.0, description="Left-right; sides named in the texts are exchanged with it."
    )


class SamplingConfig(Section):
    """Order of samples and place of crops; decides the weights."""

    centred_share: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Share of crops centred on a trained anatomy of the sample, drawn at random "
        "with abnormal ones first; the others lie anywhere.",
    )
    shards_at_once: int | None = Field(
        default=None,
        ge=1,
        description="Shards among whose samples an epoch is shuffled at a time: reading keeps to "
        "few objects, as a disk cache needs. Null shuffles the whole split.",
    )
    abnormal_per_anatomy: int = Field(
        default=0,
        ge=0,
        description="Samples of a batch in which each anatomy is abnormal, at least, as far as "
        "they fit; those that are brought in are drawn evenly over findings, so that rare ones "
        "come often. 0 takes samples as they come.",
    )


class ReadingConfig(Section):
    """How samples are read; leaves the weights alone where nothing is damaged."""

    damaged: Literal["stop", "skip"] = Field(
        default="stop",
        description="A sample that cannot be read: stop ends the run with its id, skip gives it no "
        "part in the loss, writes its id to the log and counts it in the summary.",
        json_schema_extra=DECIDES_NOTHING,
    )
    disk_cache: Path | None = Field(
        default=None,
        description="Folder that keeps objects of a remote store; null for none.",
        json_schema_extra=PLACE,
    )
    disk_cache_bytes: int = Field(
        default=100_000_000_000,
        ge=0,
        description="Bound of that folder, bytes; what was used longest ago goes first.",
        json_schema_extra=DECIDES_NOTHING,
    )
    prefetch: int = Field(
        default=2,
        ge=1,
        description="Batches that each reading thread prepares ahead.",
        json_schema_extra=DECIDES_NOTHING,
    )
