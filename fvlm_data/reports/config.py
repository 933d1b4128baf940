"""Section `parse` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fvlm_data.reports.llm.config import LlmConfig
from fvlm_data.settings import DECIDES_NOTHING, PLACE, decides_with, deciding


class ParseConfig(BaseModel):
    """How reports are taken apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_sentence_chars: int = Field(
        default=1000,
        ge=100,
        le=10_000,
        description="a longer sentence is cut at a blank, so that cost stays linear in the "
        "length of the text, characters",
    )
    carry_over: bool = Field(
        default=True,
        description="whether a sentence without an anatomy of its own ('It measures 4 mm.') "
        "speaks of what the sentence before did",
    )
    uncertain_is_abnormal: bool = Field(
        default=True,
        description="whether a finding held possible makes its anatomy abnormal and its "
        "CT-RATE label 1",
    )
    engine: Literal["tree", "medspacy"] = Field(
        default="tree",
        description="what finds the phrases of the vocabulary: a tree of words, or medspaCy's own "
        "matchers, which find the same, take longer and are for comparison",
        json_schema_extra=DECIDES_NOTHING,
    )
    memo_sentences: int = Field(
        default=50_000,
        ge=0,
        description="distinct sentences whose context-free parse is kept in memory, sentences",
        json_schema_extra=DECIDES_NOTHING,
    )
    doubtful_names: Literal["keep", "remove", "hold"] = Field(
        default="keep",
        description="what becomes of a word that is a part of the patient's name and a plain word "
        "too (Stone), as short as a unit (Li), or spelt as the name but for one letter (jonhson), "
        "where nothing tells that it stands as a name: "
        "keep counts it (table measures), remove takes it out, hold has the report wait "
        "(needs_review_of_names)",
    )
    corrections: Path | None = Field(
        default=None,
        description="JSONL of corrected readings, as the review page saves them; each holds for "
        "its own text only",
        json_schema_extra=PLACE,
    )
    backend: Literal["rules", "llm"] = Field(
        default="rules", description="what says which sentence asserts what"
    )
    llm: LlmConfig | None = Field(
        default=None,
        description="endpoint of the backend llm and of `reports compare`",
        json_schema_extra=decides_with("backend", "llm"),
    )

    @model_validator(mode="after")
    def _llm_is_named(self) -> ParseConfig:
        if self.backend == "llm" and self.llm is None:
            raise ValueError("backend llm needs parse.llm.endpoint and parse.llm.model")
        return self

    def key_settings(self) -> dict[str, Any]:
        """Settings that change what a report is parsed into: part of its key."""
        settings = deciding(self)
        model = settings.pop("llm", {}).get("model")
        return {**settings, "model": model}
