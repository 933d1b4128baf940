"""Section `evaluate`: how a trained model is scored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fvlm_data.settings import DECIDES_NOTHING
from fvlm_train.config.prompts import PromptSection
from fvlm_train.config.section import SizeZYX, with_preset


class EvaluateConfig(PromptSection):
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
    language: str | None = Field(
        default=None,
        description="Language of the prompts; null is `vocabulary.language` of the store.",
    )
    threshold_split: str | None = Field(
        default="validation",
        description="Split whose labels choose each finding's threshold (Youden); null for none.",
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
    pools: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        default=(10, 50, 100, 500),
        description="Studies among which `retrieval` looks, beside all of the split.",
    )
    shots: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(1, 5, 10, 50),
        description="Patients of each class that few-shot probes are fitted on.",
    )
    draws: int = Field(
        default=10, ge=1, description="Random draws of few-shot patients, and of each pool."
    )
    folds: int = Field(
        default=5, ge=2, description="Folds of patients by which `doubtful` cross-fits."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap, of draws and of folds.")

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, given: Any) -> Any:
        return with_preset(given, "evaluate")
