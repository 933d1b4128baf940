"""Section `parse` of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


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
    memo_sentences: int = Field(
        default=50_000,
        ge=0,
        description="distinct sentences whose context-free parse is kept in memory, sentences",
    )
