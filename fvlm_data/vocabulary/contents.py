"""All files of one vocabulary together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.vocabulary.entries import AnatomyFile, ClassFile, Cues, FindingFile, SectionFile
    from fvlm_data.vocabulary.grammar_entries import Grammar
    from fvlm_data.vocabulary.text_entries import (
        IdentityWords,
        PairingWords,
        QuestionWords,
        ReferenceWords,
        RegionWords,
        VersionWords,
    )


@dataclass(frozen=True, slots=True)
class Files:
    """All files of one vocabulary; `content` is what they hold together, by file name."""

    anatomies: AnatomyFile
    findings: FindingFile
    cues: Cues
    sections: SectionFile
    lists: Mapping[str, tuple[str, ...]]
    grammar: Grammar
    versions: VersionWords
    pairing: PairingWords
    identities: IdentityWords
    references: ReferenceWords
    questions: QuestionWords
    regions: RegionWords
    classes: ClassFile
    label_sets: Mapping[str, Any]
    """`label_sets.LabelSet` by id; that module builds on this one."""
    content: Mapping[str, Any]
