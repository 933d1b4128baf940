"""Findings that a store's reports were read by, with their prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.run.records import last_configuration
from fvlm_data.store.tables import MARK, Store
from fvlm_data.vocabulary.config import VocabularyConfig

if TYPE_CHECKING:
    from fvlm_data.vocabulary import FindingTerm, Vocabulary


def store_findings(store: str) -> list[FindingTerm]:
    """Findings of the vocabulary of the store's last run; the built-in ones of a mere shard folder.

    Raises:
        ConfigError: the overlay that the run used is missing or at fault.
    """
    return list(store_vocabulary(store).findings)


def store_vocabulary(store: str) -> Vocabulary:
    """The vocabulary of the store's last run; the built-in one of a mere shard folder.

    Raises:
        ConfigError: the overlay that the run used is missing or at fault.
    """
    given: Any = {}
    if "://" in store or Path(store, MARK).exists():
        given = last_configuration(Store.open(store)).get("vocabulary") or {}
    return VocabularyConfig.model_validate(given).load()
