"""The vocabulary of one language as a value: read, overlaid and checked once, then passed down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.vocabulary.files import read_files
from fvlm_data.vocabulary.folders import overlay_texts
from fvlm_data.vocabulary.hashes import part_hashes
from fvlm_data.vocabulary.overlay import meant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fvlm_data.vocabulary.contents import Files
    from fvlm_data.vocabulary.entries import Anatomy, AnatomyGroup, Cues, FindingTerm, SectionFile
    from fvlm_data.vocabulary.grammar_entries import Grammar
    from fvlm_data.vocabulary.hashes import Part
    from fvlm_data.vocabulary.label_sets import LabelSet
    from fvlm_data.vocabulary.text_entries import (
        IdentityWords,
        PairingWords,
        QuestionWords,
        ReferenceWords,
        RegionWords,
        VersionWords,
    )

OTHER_ABNORMALITY = "other_abnormality"
"""Finding id of something abnormal that no entry of findings.yaml covers."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """All words and lists of one language, with a user's own laid over them.

    Two vocabularies are equal where their content is. `anatomies`, `groups` and `findings` are
    sorted by id. `trained` are the anatomies that samples keep by default, in the order of their
    label values; `imaged` are those with segmentation classes in some system, in order of
    precedence. `lists` are named lists of finding ids, among them `ct_rate`; `systems` are the
    class systems of label maps; `label_sets` say which findings make the labels of data sets.
    """

    language: str
    anatomies: tuple[Anatomy, ...]
    groups: tuple[AnatomyGroup, ...]
    generic_parts: tuple[str, ...]
    region_headers: tuple[str, ...]
    header_words: tuple[str, ...]
    sides: Mapping[str, tuple[str, ...]]
    findings: tuple[FindingTerm, ...]
    macros: Mapping[str, tuple[str, ...]]
    lists: Mapping[str, tuple[str, ...]]
    cues: Cues
    sections: SectionFile
    grammar: Grammar
    versions: VersionWords
    pairing: PairingWords
    identities: IdentityWords
    references: ReferenceWords
    questions: QuestionWords
    regions: RegionWords
    trained: tuple[str, ...]
    imaged: tuple[str, ...]
    systems: tuple[str, ...]
    label_sets: Mapping[str, LabelSet]
    _classes: Mapping[str, Mapping[str, tuple[str, ...]]]
    _sha256: Mapping[Part, str]

    @classmethod
    def load(cls, language: str = "en", overlay: Path | None = None) -> Vocabulary:
        """The built-in vocabulary of a language with the files of a folder laid over it.

        The folder must hold all files of a language that is not built in.

        Raises:
            ConfigError: the language is not known, the folder is missing, or something in it is
                wrong; the sentence names file, line and what was expected.
        """
        return _made(language, overlay_texts(overlay))

    def sha256(self, part: Part = "all") -> str:
        """Hash of what one user of the vocabulary reads, whatever the order of its lists.

        `versions` is read where versions of a report are told apart, `reading` where reports are
        scrubbed and parsed, `pairing` where anatomies get texts, `segmentation` where label maps
        are merged, `labels` where labels of data sets are made: no stage reads it.
        """
        return self._sha256[part]

    def anatomy(self, anatomy: str) -> Anatomy:
        """The anatomy of an id.

        Raises:
            ConfigError: there is none.
        """
        for one in self.anatomies:
            if one.id == anatomy:
                return one
        known = [one.id for one in self.anatomies]
        raise ConfigError(
            f"anatomy {anatomy}: not in the vocabulary{meant(anatomy, known)}; known are "
            f"{', '.join(known)}"
        )

    def label_set(self, name: str) -> LabelSet:
        """The label set of an id.

        Raises:
            ConfigError: there is none.
        """
        if name not in self.label_sets:
            known = sorted(self.label_sets)
            raise ConfigError(
                f"label set {name}: not known{meant(name, known)}; known are {', '.join(known)}"
            )
        return self.label_sets[name]

    @cached_property
    def within(self) -> dict[str, str]:
        """Anatomies that are parts of another one, with that (femur: bone)."""
        return {one.id: one.within for one in self.anatomies if one.within is not None}

    @cached_property
    def implied(self) -> dict[str, frozenset[str]]:
        """Every finding with all that it implies, directly or through others."""
        direct = {term.id: set(term.implies) for term in self.findings}
        made = {}
        for term in direct:
            reached: set[str] = set()
            fresh = set(direct[term])
            # findings may imply one another in a circle, which `reached` ends
            while fresh:
                reached |= fresh
                fresh = {more for one in fresh for more in direct[one]} - reached
            made[term] = frozenset(reached)
        return made

    def classes_of(self, system: str) -> Mapping[str, tuple[str, ...]]:
        """Class names of each anatomy in a class system, anatomies in order of precedence.

        Anatomies that the system does not know are left out.

        Raises:
            ConfigError: the system is not known.
        """
        if system not in self._classes:
            raise ConfigError(
                f"class system {system}: not known; known are {', '.join(self.systems)}"
            )
        return self._classes[system]

    def __eq__(self, other: object) -> bool:
        """Whether language and content are the same."""
        same = isinstance(other, Vocabulary) and self._identity == other._identity
        return bool(same)

    def __hash__(self) -> int:
        """By language and content."""
        return hash(self._identity)

    def __repr__(self) -> str:
        """Language and hash: the content fills pages."""
        return f"Vocabulary({self.language}, {self._sha256['all'][:12]})"

    @property
    def _identity(self) -> tuple[str, str]:
        return self.language, self._sha256["all"]


@lru_cache(maxsize=8)
def _made(language: str, overlay: tuple[tuple[str, str], ...]) -> Vocabulary:
    """Reading takes a fifth of a second: a process that asks again for the same gets the same."""
    files = read_files(language, dict(overlay))
    places, findings = files.anatomies, files.findings
    terms = tuple(sorted(findings.findings, key=lambda term: term.id))
    return Vocabulary(
        language=language,
        anatomies=tuple(sorted(places.anatomies, key=lambda anatomy: anatomy.id)),
        groups=tuple(sorted(places.groups, key=lambda group: group.phrases)),
        generic_parts=places.generic_parts,
        region_headers=places.region_headers,
        header_words=places.header_words,
        sides=places.sides,  # type: ignore[arg-type]
        findings=terms,
        macros=findings.macros,
        lists={"ct_rate": tuple(term.id for term in terms if term.ct_rate), **files.lists},
        cues=files.cues,
        sections=files.sections,
        grammar=files.grammar,
        versions=files.versions,
        pairing=files.pairing,
        identities=files.identities,
        references=files.references,
        questions=files.questions,
        regions=files.regions,
        trained=files.classes.trained,
        imaged=tuple(files.classes.anatomies),
        systems=tuple(files.classes.systems),
        label_sets={name: _told_apart(one) for name, one in files.label_sets.items()},
        _classes=_classes_by_system(files),
        _sha256=part_hashes(files),
    )


def _told_apart(labels: LabelSet) -> LabelSet:
    """A label that a user's file answers is no longer one that no finding answers."""
    left = {name: why for name, why in labels.not_told.items() if name not in labels.labels}
    return labels.model_copy(update={"not_told": left})


def _classes_by_system(files: Files) -> dict[str, dict[str, tuple[str, ...]]]:
    anatomies = files.classes.anatomies
    made: dict[str, dict[str, tuple[str, ...]]] = {}
    for system, settings in files.classes.systems.items():
        if settings.names_are_anatomies:
            made[system] = {anatomy: (anatomy,) for anatomy in anatomies}
            continue
        wanted = settings.like or system
        made[system] = {
            anatomy: names[wanted] for anatomy, names in anatomies.items() if wanted in names
        }
    return made
