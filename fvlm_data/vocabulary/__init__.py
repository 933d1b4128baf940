"""The vocabulary as data: anatomies, findings, sections, cues and grammar, YAML by language.

`Vocabulary.load` gives it as a value, which is passed down to all that reads it.
"""

from __future__ import annotations

from fvlm_data.vocabulary.entries import (
    Anatomy,
    AnatomyGroup,
    CueRule,
    Cues,
    FindingTerm,
    Prompts,
    SectionName,
)
from fvlm_data.vocabulary.languages import Vocabularies
from fvlm_data.vocabulary.value import OTHER_ABNORMALITY, Vocabulary

__all__ = [
    "OTHER_ABNORMALITY",
    "Anatomy",
    "AnatomyGroup",
    "CueRule",
    "Cues",
    "FindingTerm",
    "Prompts",
    "SectionName",
    "Vocabularies",
    "Vocabulary",
]
