"""Section `segment`: which backend makes the label maps, and how."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fvlm_data.segment.backends import BACKENDS
from fvlm_data.segment.plausibility.expected import load_expected
from fvlm_data.segment.plausibility.policy import Action, unknown_keys
from fvlm_data.settings import DECIDES_NOTHING, PLACE, PLACE_OF_YAML, decides_with, deciding

MEMORY_STEP = r"^(split|gpu|cpu|mps|gpu:\d+)$"
LIBRARY_SYSTEMS = ("totalsegmentator_v1", "totalsegmentator_v2")


class SegmentConfig(BaseModel):
    """One segmentation task of a store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Annotated[str, AfterValidator(BACKENDS.known)] = Field(
        default="threshold",
        description="what makes the label maps: precomputed (those that there are), threshold, "
        "totalsegmentator, or what an installed package adds (`fvlm-data plugins`)",
        json_schema_extra=BACKENDS.listed,
    )
    task: str = Field(
        default="",
        pattern=r"^[a-z0-9_]*$",
        description="name of the task, part of the label maps' file names; for totalsegmentator "
        "the library's task; default: threshold for threshold, total for the two others of "
        "ours, else the backend's name",
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
    out_of_memory: tuple[Annotated[str, Field(pattern=MEMORY_STEP)], ...] = Field(
        default=("split", "cpu"),
        description="totalsegmentator: what is tried, in this order, where a volume does not fit "
        "the device: split (three parts along z, as the library does with large images), or "
        "another device, whole; after the last the volume is set aside",
        json_schema_extra=DECIDES_NOTHING,
    )
    time_limit_s: float | None = Field(
        default=None,
        gt=0,
        description="totalsegmentator: seconds a volume may take in all, waiting for the device "
        "not counted; one that takes longer is set aside; default: no limit",
        json_schema_extra=DECIDES_NOTHING,
    )
    side_by_side: int = Field(
        default=2,
        ge=1,
        description="totalsegmentator: volumes that a worker has in hand at once: while the device "
        "works on one, the next is read and the last is written; each takes memory",
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
    policy: dict[str, Action] = Field(
        default_factory=dict,
        description="what is done with a label map of which a check says so: exclude (set aside), "
        "flag (in volume_checks) or ignore, by the check's code (volume_unusual) or by one flag "
        "(spleen_volume_unusual); docs/segmentation.md has the list and the defaults",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="settings of a backend that a package adds, checked by that package",
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
            if backend in BACKENDS.names():
                return {**values, "task": default_task(backend)}
        return values

    @field_validator("policy")
    @classmethod
    def _known_checks(cls, given: dict[str, Action]) -> dict[str, Action]:
        unknown = unknown_keys(given)
        if unknown:
            raise ValueError(
                f"no check gives {', '.join(unknown)}; checks are "
                f"{', '.join(load_expected().policy)}"
            )
        return given

    @field_validator("options")
    @classmethod
    def _options_of_the_backend(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        backend = info.data.get("backend")
        if not given or backend is None:  # None: refused already
            return given
        model = BACKENDS.load(backend).options
        if model is None:
            raise ValueError(f"backend {backend} takes none; take them out")
        model.model_validate(given)
        return given

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.takes_masks and (self.masks is None or self.classes is None):
            raise ValueError(
                f"backend {self.backend} needs masks and classes; set both, or choose another "
                "backend"
            )
        self.checked_options()
        return self

    def __hash__(self) -> int:
        """By all values: backends are cached by their section, and options are not hashable."""
        return hash(self.model_dump_json())

    @property
    def takes_masks(self) -> bool:
        """Whether label maps are taken from `masks`, not made."""
        return bool(self._entry().takes_masks)

    def checked_options(self) -> BaseModel | None:
        """Options as the backend's own model has them; None for a backend without one."""
        model = self._entry().options
        return model.model_validate(self.options) if model is not None else None

    def key_part(self) -> dict[str, Any]:
        """What of this section enters item keys: no paths, devices or sizes of batches.

        The version of another package that brings the backend is part of it.
        """
        settings = deciding(self)
        del settings["options"]  # ours take none, and had none
        if not self.policy:
            del settings["policy"]  # as it was before there was any
        options, package = self.checked_options(), BACKENDS.made_by(self.backend)
        if options is not None:
            settings["options"] = deciding(options)
        return {**settings, "package": package} if package else settings

    def _entry(self) -> Any:
        return BACKENDS.load(self.backend)


def default_task(backend: str) -> str:
    """Name of the task of a backend where the configuration gives none."""
    return BACKENDS.load(backend).task or re.sub(r"[^a-z0-9_]", "_", backend.lower())
