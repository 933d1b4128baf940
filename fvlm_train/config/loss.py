"""Section `train.loss`: which pairs of a batch are not negatives, and how a model corrects them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fvlm_train.config.prompts import PromptSection
from fvlm_train.config.section import Section


class CorrectionConfig(Section):
    """Targets of abnormal pairs (abnormal samples of different studies), corrected by a model.

    No preset switches it on: the public code has none. docs/training.md says what each kind does.
    """

    kind: Literal["none", "momentum", "co_teaching"] = Field(
        default="none",
        description="'co_teaching': a second model that is trained beside it (fVLM paper); "
        "'momentum': an average of the text encoder (RADAR).",
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


class PromptLossConfig(PromptSection):
    """Labels of the reports as a further term: images beside the prompts of their findings.

    No preset of the paper's switches it on. What it names is no longer scored zero-shot.
    """

    weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the term, beside 1 for each anatomy's contrast; 0 for none.",
    )
    least_positives: int = Field(
        default=5,
        ge=1,
        description="Samples of the training split with a finding, and without, below which it is "
        "left to the contrast alone.",
    )


class LossConfig(Section):
    """Which pairs of a batch are no negatives, and how the others are told apart."""

    kind: Literal["softmax", "sigmoid"] = Field(
        default="softmax",
        description="'softmax': which of the batch's texts is an image's, and the other way round "
        "(paper); 'sigmoid': of each pair by itself whether it belongs together, as in SigLIP.",
    )
    sigmoid_bias: float = Field(
        default=-5.0,
        description="Added to each logit (sigmoid only): pairs that do not belong together are the "
        "most by far. Not learned; the temperature is.",
    )
    normal_negative: bool = Field(
        default=False,
        description="The sentence of the normal anatomy (train.template) is one more negative of "
        "each abnormal image, whether or not the batch holds it.",
    )
    dictionary_negatives: int = Field(
        default=0,
        ge=0,
        description="Findings of the vocabulary that are drawn for each anatomy at each step: "
        "their prompts are further negatives of images whose report does not have them (after "
        "CT-GLIP). 0 for none.",
    )
    separation: float = Field(
        default=0.0,
        ge=0,
        description="Weight of a term that keeps texts of different anatomies apart: the square of "
        "their cosine, where it is above 0 (after CA-GCL). 0 for none.",
    )
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
    prompts: PromptLossConfig = Field(
        default=PromptLossConfig(), description="Labels of the reports, learned through prompts."
    )

    @property
    def asks_findings(self) -> bool:
        """Whether training needs the findings of the vocabulary."""
        return self.prompts.weight > 0 or self.dictionary_negatives > 0
