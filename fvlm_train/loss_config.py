"""Section `train.loss`: which pairs of a batch are no negatives, and what a model adds to that."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CorrectionConfig(BaseModel):
    """Targets of abnormal pairs (abnormal samples of different studies), corrected by a model.

    `co_teaching` (fVLM paper) trains two models that differ in seed, hence in initial weights,
    order, crops and dropout; each corrects the other's targets: an abnormal pair has the target
    alpha T + (1 - alpha) softmax(similarity of image and text to the peer). It takes about two and
    a half times the computation, twice the reading, and twice the memory of weights and optimiser.
    The run's model, which fvlm-eval loads, is the first (`train.seed`); the peer stays beside it
    in the checkpoint.

    `momentum` (RADAR) keeps an exponential average of the text encoder; an abnormal pair that the
    policy counts as negative has the target softmax(similarity of both texts to that encoder).

    The public code has neither, so no preset switches one on: `preset: reference` with
    `loss.correction.kind: co_teaching` is the method of the paper.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["none", "momentum", "co_teaching"] = Field(
        default="none", description="Which model corrects the targets."
    )
    warmup_epochs: float = Field(
        default=5.0,
        ge=0,
        description="Epochs before targets are corrected: a model must know something first.",
    )
    alpha: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the policy's own target in an abnormal pair (co_teaching only).",
    )
    peer_seed: int | None = Field(
        default=None,
        ge=0,
        description="Seed of the second model; null is train.seed + 1 (co_teaching only).",
    )
    momentum: float = Field(
        default=0.995,
        ge=0,
        lt=1,
        description="Share of the average that stays at each step (momentum only).",
    )
    temperature: float | None = Field(
        default=None,
        gt=0,
        description="Temperature of the softmax; null is the learned one: the peer's, or with "
        "momentum the model's own.",
    )


class LossConfig(BaseModel):
    """Which pairs of a batch are no negatives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Literal["none", "reference", "signature", "graded"] = Field(
        default="signature", description="False-negative policy; see fvlm_data.pairing.targets."
    )
    not_mentioned: Literal["normal", "excluded"] | None = Field(
        default=None,
        description="Anatomies the report does not mention: 'normal' counts them as healthy, "
        "'excluded' leaves them out of the loss; null takes the policy's default.",
    )
    correction: CorrectionConfig = Field(
        default=CorrectionConfig(), description="Targets of abnormal pairs, corrected by a model."
    )
