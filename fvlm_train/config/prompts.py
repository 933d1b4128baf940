"""Sentences about a finding that a model compares images with."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fvlm_train.config.section import Section


class PromptTemplate(Section):
    """Two sentences about any finding; {finding} is its name in lower case."""

    positive: str = Field(description="The finding is there, such as 'There is {finding}.'")
    negative: str = Field(
        description="It is not, such as 'There is no {finding}.' (with negative: prompt only)"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for sentence in (self.positive, self.negative):
            if "{finding}" not in sentence or "{" in sentence.replace("{finding}", ""):
                raise ValueError(f"'{sentence}' needs {{finding}} and no other brace")
        return self


class PromptSection(Section):
    """Which sentences stand for a finding and for its absence."""

    negative: Literal["prompt", "normal"] = Field(
        default="prompt",
        description="What a finding is compared with: its negative prompt ('Not X.'), or the "
        "normal sentence of its anatomy.",
    )
    templates: tuple[PromptTemplate, ...] = Field(
        default=(),
        description="Prompts beside those of the vocabulary; the features of all are averaged.",
    )
