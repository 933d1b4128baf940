"""Section `train.pretrain`: an image encoder that learns from unlabelled samples."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fvlm_data.settings import DECIDES_NOTHING
from fvlm_train.config.section import Section, SizeZYX

AUGMENTATIONS: dict[str, float] = {
    "zoom": 0.2,
    "flip_x": 0.5,
    "contrast": 0.2,
    "brightness": 0.1,
    "gamma": 0.2,
    "noise": 0.02,
    "blur": 1.0,
    "cutout": 0.3,
}
"""Strength of each by default; `fvlm_train.pretrain.augment` says what it means."""

NAMED = (*AUGMENTATIONS, "flip_y", "flip_z")


class ViewsConfig(Section):
    """The two views of a sample."""

    crop_zyx: SizeZYX | None = Field(
        default=None,
        description="Size of a view, voxels (z, y, x); null is model.image.window_zyx. One slice "
        "deep, views are slices, of volumes too.",
    )
    shift: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Greatest distance of the views' middles along each axis, as share of a view: "
        "what is learned to be alike lies near.",
    )
    augmentations: dict[str, float] = Field(
        default=AUGMENTATIONS,
        description=f"Strength by name, in this order: {', '.join(NAMED)}; one that is not named "
        "is not applied.",
    )

    @field_validator("augmentations")
    @classmethod
    def _known(cls, given: dict[str, float]) -> dict[str, float]:
        for name, strength in given.items():
            if name not in NAMED:
                raise ValueError(f"{name} is no augmentation: expected one of {', '.join(NAMED)}")
            if strength < 0 or (name != "blur" and strength > 1):
                raise ValueError(f"{name}: {strength:g} found, expected 0 to 1 (blur: 0 or more)")
        return given


class SwappedConfig(Section):
    """Online clustering with swapped assignments (SwAV, arXiv 2006.09882)."""

    prototypes: int = Field(
        default=16,
        ge=2,
        description="Clusters; fewer than batch_size, or equal shares say little of a batch.",
    )
    temperature: float = Field(default=0.1, gt=0, description="Of the predicted assignments.")
    epsilon: float = Field(
        default=0.03, gt=0, description="Sharpness of the equal-sized assignments; less is sharper."
    )
    sinkhorn_rounds: int = Field(
        default=3, ge=1, description="Rounds that make the assignments equal in size."
    )
    frozen_steps: int = Field(
        default=0, ge=0, description="First steps in which prototypes stay as drawn."
    )


class GraphConfig(Section):
    """Matching of kNN graphs of the two views' embeddings (after LVM-Med, arXiv 2306.11925)."""

    neighbours: int = Field(default=5, ge=1, description="Neighbours of a sample in its graph.")
    second_order: float = Field(
        default=1.0,
        ge=0,
        description="Weight of edges beside vertices in the affinity; 0 compares vertices alone.",
    )
    rounds: int = Field(
        default=2, ge=1, description="Times that the matching of neighbours is taken into account."
    )
    temperature: float = Field(default=0.1, gt=0, description="Of the matching.")


class PretrainConfig(Section):
    """Learning without labels, by `fvlm-pretrain`; of `train` it reads model, window and device."""

    method: Literal["swapped", "graph"] = Field(
        default="swapped",
        description="swapped: predict a view's cluster from the other; graph: match the views of a "
        "batch by their kNN graphs.",
    )
    samples: Literal["unlabelled", "labelled"] = Field(
        default="unlabelled",
        description="Samples of stage `unlabelled`, or those of `shard` without their labels.",
    )
    views: ViewsConfig = Field(default=ViewsConfig(), description="Two views of each sample.")
    swapped: SwappedConfig = Field(default=SwappedConfig(), description="Method swapped.")
    graph: GraphConfig = Field(default=GraphConfig(), description="Method graph.")
    hidden: int = Field(default=128, ge=2, description="Hidden features of the projection.")
    projection_dim: int = Field(default=64, ge=2, description="Features that are compared.")
    batch_size: int = Field(default=32, ge=2, description="Samples of a step, two views of each.")
    steps: int = Field(default=1000, ge=1, description="Steps.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate of AdamW.")
    warmup_steps: int = Field(default=50, ge=0, description="Steps of linear warm-up.")
    weight_decay: float = Field(default=0.05, ge=0, description="Decoupled weight decay of AdamW.")
    clip_norm: float | None = Field(
        default=1.0, gt=0, description="Gradient norm limit; null for none."
    )
    shards_at_once: int = Field(
        default=4,
        ge=1,
        description="Shards whose samples are shuffled together: all of the index that is held.",
    )
    loader_workers: int = Field(
        default=0,
        ge=0,
        description="Processes that read and make views; the order is the same for any number.",
        json_schema_extra=DECIDES_NOTHING,
    )
    checkpoint_every_steps: int = Field(
        default=200,
        ge=1,
        description="Steps between checkpoints.",
        json_schema_extra=DECIDES_NOTHING,
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.method == "graph" and self.graph.neighbours >= self.batch_size:
            raise ValueError(
                f"graph.neighbours {self.graph.neighbours}: a batch of {self.batch_size} has fewer "
                "others; lower it or raise batch_size"
            )
        return self
