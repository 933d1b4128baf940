"""Sections `train.compute`, `train.average` and `train.validation`: beside the recipe itself."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fvlm_data.settings import DECIDES_NOTHING
from fvlm_train.config.section import Section


class ComputeConfig(Section):
    """Memory and time of a step; what it learns stays."""

    micro_batch: int | None = Field(
        default=None,
        ge=1,
        description="Samples of a rank that go through the encoders at a time (GradCache): the "
        "loss is still of the whole batch and its gradient the same, for a second forward pass. "
        "Null for all at once.",
    )
    checkpointing: bool = Field(
        default=False,
        description="Blocks of both encoders are computed again for the gradient in place of kept "
        "in memory; results are the same.",
        json_schema_extra=DECIDES_NOTHING,
    )
    parallel: Literal["ddp", "fsdp2"] = Field(
        default="ddp",
        description="How ranks of torchrun share a step: 'ddp' each has the whole model; 'fsdp2' "
        "each has a share of weights, gradients and optimiser (torch's fully_shard), for models "
        "that one device does not hold. One rank alone shares nothing.",
        json_schema_extra=DECIDES_NOTHING,
    )
    compile: bool = Field(
        default=False,
        description="Compile the image encoder's blocks (torch.compile; needs a C++ compiler): "
        "other dropout is drawn, and sums differ in their rounding.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.parallel == "fsdp2" and (self.micro_batch is not None or self.compile):
            raise ValueError("parallel: fsdp2 goes without micro_batch and compile: leave them out")
        if self.compile and (self.micro_batch is not None or self.checkpointing):
            raise ValueError(
                "compile draws dropout of its own, which micro_batch and checkpointing could not "
                "repeat: set it to false, or leave them out"
            )
        return self


class AverageConfig(Section):
    """Exponential moving average of the weights."""

    decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the average that stays at each step, less in the first steps: "
        "(1 + step) / (10 + step) at most. Null for no average.",
    )
    evaluated: bool = Field(
        default=True,
        description="What is evaluated and exported: the average, or the weights of the last step. "
        "Both are in the checkpoint.",
        json_schema_extra=DECIDES_NOTHING,
    )


class ValidationConfig(Section):
    """Zero-shot AUC while training, by the labels of reports and the prompts of `evaluate`."""

    every_steps: int | None = Field(
        default=None,
        ge=1,
        description="Steps between validations; the last step has one, too. Null for none.",
    )
    split: str = Field(default="validation", description="Split that is scored.")
    patience: int | None = Field(
        default=None,
        ge=1,
        description="Validations without a higher mean AUC after which training ends; null never.",
    )
    evaluated: Literal["best", "last"] = Field(
        default="best",
        description="What is evaluated and exported: the weights of the highest mean AUC "
        "(RUN/best.pt), or those of the checkpoint.",
        json_schema_extra=DECIDES_NOTHING,
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.patience is not None and self.every_steps is None:
            raise ValueError("patience counts validations: set every_steps")
        return self
