"""What all sections share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fvlm_data.run.layers import merged, preset_values

PRESETS = ("reference", "small")

Voxels = Annotated[int, Field(ge=1)]
SizeZYX = tuple[Voxels, Voxels, Voxels]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def check_multiple(name: str, size_zyx: SizeZYX, patch_zyx: SizeZYX) -> None:
    """Raise ValueError where a size does not split into whole patches."""
    if any(size % patch for size, patch in zip(size_zyx, patch_zyx, strict=True)):
        raise ValueError(f"{name} {list(size_zyx)} is no multiple of patch_zyx {list(patch_zyx)}")


def with_preset(given: Any, section: str) -> Any:
    """Keys given for a section, laid over those of the preset that they name."""
    if not isinstance(given, dict) or given.get("preset") not in PRESETS:
        return given
    return merged(preset_values("fvlm_train.config", given["preset"])[section], given)
