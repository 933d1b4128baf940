"""The vocabularies of an archive whose reports are in several languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.vocabulary.value import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.vocabulary.hashes import Part


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """The store's own vocabulary, and those of further languages of its reports.

    Ids of anatomies and findings are the same in all; names, prompts and the sentence of a normal
    anatomy are those of `own`, except in the text of a report's own sentences.
    """

    own: Vocabulary
    further: tuple[Vocabulary, ...] = ()

    @classmethod
    def load(
        cls, language: str, further: tuple[str, ...] = (), overlay: Path | None = None
    ) -> Vocabularies:
        """The vocabularies of languages, each with its part of a user's folder laid over it.

        The folder's own files are over the store's language; those of a further one stand in a
        folder of its name within it.

        Raises:
            ConfigError: a language is not known, or says of a finding or anatomy what the store's
                own does not; or something in the folder is wrong.
        """
        own = Vocabulary.load(language, overlay)
        made = []
        for one in further:
            folder = overlay / one if overlay is not None else None
            made.append(Vocabulary.load(one, folder if folder and folder.is_dir() else None))
            _check_ids(own, made[-1])
        return cls(own, tuple(made))

    @property
    def all(self) -> tuple[Vocabulary, ...]:
        """All vocabularies, the store's own first."""
        return (self.own, *self.further)

    def sha256s(self, part: Part) -> list[tuple[str, str]]:
        """Language and hash of a part of each further vocabulary (`Vocabulary.sha256`).

        Read by the language of an item's reports, they make its key hold the vocabularies that it
        is made by, and no other: a language that is added remakes nothing else.
        """
        return [(one.language, one.sha256(part)) for one in self.further]

    def of(self, language: str | None) -> Vocabulary:
        """The vocabulary that reads a language, the store's own where none is given.

        Raises:
            ConfigError: no such language is configured.
        """
        if language is None:
            return self.own
        for one in self.all:
            if one.language == language:
                return one
        known = ", ".join(one.language for one in self.all)
        raise ConfigError(
            f"vocabulary.languages: a report was read in {language!r}, which is not among them "
            f"(there are {known}); add it, or run `fvlm-data reports` again without it"
        )


def _check_ids(own: Vocabulary, other: Vocabulary) -> None:
    """Refuse a vocabulary whose ids the store's own does not have: its rows would name nothing."""
    for kind, ours, theirs in (
        ("anatomy", own.anatomies, other.anatomies),
        ("finding", own.findings, other.findings),
    ):
        unknown = sorted({one.id for one in theirs} - {one.id for one in ours})
        if unknown:
            raise ConfigError(
                f"vocabulary.languages: {other.language!r} has the {kind} {unknown[0]!r}, which "
                f"{own.language!r} (vocabulary.language) lacks; add it there too, by the overlay"
            )
