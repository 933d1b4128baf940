"""Section `vocabulary` of the configuration: which words are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fvlm_data.settings import PLACE
from fvlm_data.vocabulary.languages import Vocabularies
from fvlm_data.vocabulary.value import Vocabulary

_LANGUAGE = r"^[a-z]{2,3}(_[a-z0-9]+)*$"


class VocabularyConfig(BaseModel):
    """The language of the reports, and a user's own words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str = Field(
        default="en",
        pattern=_LANGUAGE,
        description="language of the reports, of prompts and of the store's pages; one that is not "
        "built in must stand in `overlay`",
    )
    languages: tuple[Annotated[str, Field(pattern=_LANGUAGE)], ...] = Field(
        default=(),
        description="all languages of reports where there are several, `language` among them: "
        "each report is read by the vocabulary of its own; empty: `language` alone",
    )
    overlay: Path | None = Field(
        default=None,
        description="folder of YAML files with anatomies, findings, cues, headers, ... of your "
        "own, laid over the built-in ones (docs/vocabulary.md)",
        json_schema_extra=PLACE,
    )

    @model_validator(mode="after")
    def _lists_own(self) -> VocabularyConfig:
        if self.languages and self.language not in self.languages:
            raise ValueError(
                f"languages: {self.language!r} (vocabulary.language) is not among them; name it "
                "too, or set vocabulary.language to one of them"
            )
        if len(set(self.languages)) < len(self.languages):
            raise ValueError("languages: one stands twice; name each once")
        return self

    @property
    def further(self) -> tuple[str, ...]:
        """Languages of reports beside `language`, sorted."""
        return tuple(sorted(one for one in self.languages if one != self.language))

    def load_all(self) -> Vocabularies:
        """The vocabularies of all languages of reports.

        Raises:
            ConfigError: as `load`, for any of them.
        """
        return Vocabularies.load(self.language, self.further, self.overlay)

    def load(self) -> Vocabulary:
        """The vocabulary of `language`.

        Raises:
            ConfigError: the language is not known, or something in the folder is wrong.
        """
        return Vocabulary.load(self.language, self.overlay)
