"""Section `vocabulary` of the configuration: which words are known."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from fvlm_data.settings import PLACE
from fvlm_data.vocabulary.value import Vocabulary


class VocabularyConfig(BaseModel):
    """The language of the reports, and a user's own words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str = Field(
        default="en",
        pattern=r"^[a-z]{2,3}(_[a-z0-9]+)*$",
        description="language of the reports; one that is not built in must stand in `overlay`",
    )
    overlay: Path | None = Field(
        default=None,
        description="folder of YAML files with anatomies, findings, cues, headers, ... of your "
        "own, laid over the built-in ones (docs/vocabulary.md)",
        json_schema_extra=PLACE,
    )

    def load(self) -> Vocabulary:
        """The vocabulary.

        Raises:
            ConfigError: the language is not known, or something in the folder is wrong.
        """
        return Vocabulary.load(self.language, self.overlay)
