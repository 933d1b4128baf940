"""Section `evaluate`: how a trained model is scored."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from fvlm_data.settings import DECIDES_NOTHING
from fvlm_train.config.section import Section, SizeZYX, with_preset


class EvaluateConfig(Section):
    """Section `evaluate`: how a trained model is scored."""

    preset: Literal["reference", "small"] | None = Field(
        default=None,
        description="Start from a named recipe; keys given beside it win.",
        json_schema_extra=DECIDES_NOTHING,
    )
    window_zyx: SizeZYX | None = Field(
        default=None,
        description="Window centred on the anatomy, voxels (z, y, x); null is the training crop.",
    )
    negative: Literal["prompt", "normal"] = Field(
        default="prompt",
        description="What a finding is compared with: its negative prompt ('Not X.'), or the "
        "normal sentence of its anatomy.",
    )
    absent_anatomy: Literal["excluded", "zero"] = Field(
        default="excluded",
        description="Samples whose mask does not show a finding's anatomy: 'excluded' leaves them "
        "out of its AUC, 'zero' counts them with score 0 as the public code does, which "
        "flatters findings of anatomies that many scans do not reach.",
    )
    min_positive_patients: int = Field(
        default=10,
        ge=1,
        description="Patients with a finding below which it stays out of the macro AUC.",
    )
    bootstrap_samples: int = Field(
        default=1000, ge=10, description="Patient resamples of the intervals."
    )
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of the intervals.")
    batch_size: int = Field(
        default=8,
        ge=1,
        description="Windows of one forward pass.",
        json_schema_extra=DECIDES_NOTHING,
    )
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap.")

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, given: Any) -> Any:
        return with_preset(given, "evaluate")
