"""Section `pair` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fvlm_data.settings import PLACE


class SplitFractions(BaseModel):
    """Shares of patients that fall into each split; they sum to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: float = Field(default=0.8, ge=0, le=1, description="share of patients to train on")
    validation: float = Field(
        default=0.1, ge=0, le=1, description="share of patients to choose settings on"
    )
    test: float = Field(default=0.1, ge=0, le=1, description="share of patients held out")

    @model_validator(mode="after")
    def _sum_is_one(self) -> SplitFractions:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, validation and test sum to {total:g}, expected 1")
        return self


class SignatureConfig(BaseModel):
    """What two abnormal anatomies must share to count as the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: bool = Field(
        default=False, description="whether mild and severe of one finding differ"
    )
    lobe: bool = Field(
        default=False,
        description="whether lobes of lung and liver that the words of place name differ",
    )


class PairConfig(BaseModel):
    """How reports become texts and states of anatomies, and patients fall into splits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    normal: Literal["stated", "reference"] = Field(
        default="stated",
        description="when an anatomy counts as normal: only if the report says so, or, as the "
        "public reference code has it, whenever the impression does not speak of it",
    )
    uncertain: Literal["abnormal", "not_mentioned"] = Field(
        default="abnormal",
        description="what an anatomy is with hedged findings only",
    )
    signature: SignatureConfig = Field(
        default=SignatureConfig(), description="what makes two findings the same"
    )
    template: str | None = Field(
        default=None,
        description="text of an anatomy that is normal or not mentioned; {anatomy} is its name; "
        "default: the vocabulary's (`{anatomy} shows no significant abnormalities.`)",
    )
    contradictions: Literal["set_aside", "keep"] = Field(
        default="set_aside",
        description="what becomes of texts that the masks strongly contradict (a removed organ of "
        "normal size, a report of another region): set aside with the figures, or kept; both "
        "stand in table cross_checks",
    )
    split: SplitFractions = Field(default=SplitFractions(), description="shares of the splits")
    duplicates: Literal["set_aside", "one_split", "keep"] = Field(
        default="set_aside",
        description="what becomes of patients who share an image, or nearly the same one, with "
        "another one in a held-out split: set aside, put into that split, or kept all the same",
    )
    split_file: Path | None = Field(
        default=None,
        description="CSV with columns patient_id (as in the headers) and split; it wins over "
        "the hash. In place of patient_id: study_uid, accession or volume_name (file name) of any "
        "of the patient's scans; where they differ, the most protected split",
        json_schema_extra=PLACE,
    )

    @model_validator(mode="after")
    def _template_names_anatomy(self) -> PairConfig:
        if self.template is None:
            return self
        try:
            named = "\x00" in self.template.format(anatomy="\x00")
        except (ValueError, LookupError, AttributeError):
            named = False
        if not named:
            raise ValueError("template must hold {anatomy} and no other braces")
        return self
