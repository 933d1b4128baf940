"""Section `segment`: which backend makes the label maps, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LIBRARY_SYSTEMS = ("totalsegmentator_v1", "totalsegmentator_v2")


class PrecomputedConfig(BaseModel):
    """Label maps that exist already."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    masks: Path = Field(
        description="folder of label maps (.nii, .nii.gz), or a CSV manifest with columns volume, "
        "mask and, optionally, classes; masks outside the folder (of the manifest) are refused"
    )
    classes: str = Field(
        description="what the values mean: totalsegmentator_v1, totalsegmentator_v2, or the path "
        "of a YAML file with class_system and classes: {value: name}"
    )


class TotalSegmentatorConfig(BaseModel):
    """The installed TotalSegmentator library."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fast: bool = Field(default=False, description="the 3 mm model in place of the 1.5 mm models")
    device: str = Field(
        default="gpu",
        pattern=r"^(gpu|cpu|mps|gpu:\d+)$",
        description="where the model runs: gpu, gpu:N, cpu or mps",
    )
    weights: Path | None = Field(
        default=None,
        description="folder of the model weights; default: the library's own folder",
    )
    download_weights: bool = Field(
        default=False,
        description="let the library fetch missing weights from the network; else they must lie "
        "in the folder",
    )


class SegmentConfig(BaseModel):
    """One segmentation task of a store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Literal["precomputed", "threshold", "totalsegmentator"] = Field(
        default="threshold", description="what makes the label maps"
    )
    task: str = Field(
        default="",
        pattern=r"^[a-z0-9_]*$",
        description="name of the task, part of the label maps' file names; for totalsegmentator "
        "the library's task; default: threshold for threshold, else total",
    )
    precomputed: PrecomputedConfig | None = Field(
        default=None, description="settings of the backend precomputed"
    )
    totalsegmentator: TotalSegmentatorConfig = Field(
        default=TotalSegmentatorConfig(), description="settings of the backend totalsegmentator"
    )
    grid_tolerance_voxels: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="how far a corner of a label map may lie from the volume's, in voxels",
    )
    batch_size: int = Field(default=8, ge=1, description="volumes a unit of work (not in keys)")

    @model_validator(mode="before")
    @classmethod
    def _named_task(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("task"):
            backend = values.get("backend", "threshold")
            return {**values, "task": "threshold" if backend == "threshold" else "total"}
        return values

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.backend == "precomputed" and self.precomputed is None:
            raise ValueError(
                "backend precomputed needs precomputed.masks and precomputed.classes; set them "
                "or choose another backend"
            )
        return self

    def key_part(self) -> dict[str, Any]:
        """What of this section enters item keys: no paths, devices or sizes of batches."""
        part: dict[str, Any] = {"backend": self.backend, "task": self.task}
        if self.backend == "totalsegmentator":
            part["fast"] = self.totalsegmentator.fast
        else:
            part["grid_tolerance_voxels"] = self.grid_tolerance_voxels
        return part
