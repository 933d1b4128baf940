"""Findings that a store's reports were read by, with their prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.run.records import last_configuration
from fvlm_data.store.tables import MARK, Store
from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.config import VocabularyConfig

if TYPE_CHECKING:
    from fvlm_data.vocabulary import FindingTerm


def store_findings(store: str, language: str | None = None) -> list[FindingTerm]:
    """Findings of the vocabulary of the store's last run; the built-in ones of a mere shard folder.

    Their prompts are of a `language` of the store where one is named, or one that is built in.

    Raises:
        ConfigError: the overlay that the run used is missing or at fault, or the language is not
            known.
    """
    return list(store_vocabulary(store, language).findings)


def store_vocabulary(store: str, language: str | None = None) -> Vocabulary:
    """The vocabulary of the store's last run; the built-in one of a mere shard folder.

    Raises:
        ConfigError: as `store_findings`.
    """
    given: Any = {}
    if "://" in store or Path(store, MARK).exists():
        given = last_configuration(Store.open(store)).get("vocabulary") or {}
    words = VocabularyConfig.model_validate(given)
    if language is None or language == words.language:
        return words.load()
    return next(
        (one for one in words.load_all().further if one.language == language), None
    ) or Vocabulary.load(language)
