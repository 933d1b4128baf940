"""Section `segment`: which backend makes the label maps, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fvlm_data.settings import DECIDES_NOTHING, PLACE, PLACE_OF_YAML, decides_with, deciding

LIBRARY_SYSTEMS = ("totalsegmentator_v1", "totalsegmentator_v2")


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
    masks: Path | None = Field(
        default=None,
        description="precomputed: folder of label maps (.nii, .nii.gz), or CSV manifest with "
        "columns volume, mask and, optionally, classes; masks outside the folder (of the "
        "manifest) are refused",
        json_schema_extra=PLACE,
    )
    classes: str | None = Field(
        default=None,
        description="precomputed: what the values mean: totalsegmentator_v1, "
        "totalsegmentator_v2, or the path of a YAML file with class_system and classes: "
        "{value: name}",
        json_schema_extra=PLACE_OF_YAML,
    )
    grid_tolerance_voxels: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="precomputed: how far a corner of a label map may lie from the volume's, in "
        "voxels",
        json_schema_extra=decides_with("backend", "precomputed"),
    )
    fast: bool = Field(
        default=False,
        description="totalsegmentator: the 3 mm model, not the 1.5 mm models",
        json_schema_extra=decides_with("backend", "totalsegmentator"),
    )
    device: str = Field(
        default="gpu",
        pattern=r"^(gpu|cpu|mps|gpu:\d+)$",
        description="totalsegmentator: where the model runs: gpu, gpu:N, cpu or mps",
        json_schema_extra=DECIDES_NOTHING,
    )
    weights: Path | None = Field(
        default=None,
        description="totalsegmentator: folder of the model weights; default: the library's own",
        json_schema_extra=PLACE,
    )
    download_weights: bool = Field(
        default=False,
        description="totalsegmentator: let the library fetch missing weights from the network",
        json_schema_extra=DECIDES_NOTHING,
    )
    batch_size: int = Field(
        default=8,
        ge=1,
        description="volumes of one unit of work",
        json_schema_extra=DECIDES_NOTHING,
    )

    @model_validator(mode="before")
    @classmethod
    def _named_task(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("task"):
            backend = values.get("backend", "threshold")
            return {**values, "task": "threshold" if backend == "threshold" else "total"}
        return values

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.backend == "precomputed" and (self.masks is None or self.classes is None):
            raise ValueError(
                "backend precomputed needs masks and classes; set both, or choose another backend"
            )
        return self

    def key_part(self) -> dict[str, Any]:
        """What of this section enters item keys: no paths, devices or sizes of batches."""
        return deciding(self)
