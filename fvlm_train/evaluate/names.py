"""Names of findings in files of others: ids, names for people, columns of public data sets."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RAD_CHESTCT = {
    "bronchial_wall_thickening": "peribronchial_thickening",
    "fibrosis": "pulmonary_fibrotic_sequela",
    "hernia": "hiatal_hernia",
    "nodule": "lung_nodule",
    "opacity": "lung_opacity",
    "septal_thickening": "interlobular_septal_thickening",
}
"""Abnormalities of Rad-ChestCT under our ids where the names differ; its calcification, which may
be that of an artery or of the heart, is left out."""

SIMILAR = 0.5
"""Similarity from which on a name is proposed."""


class Named(Protocol):
    """What is read of a finding of the vocabulary."""

    @property
    def id(self) -> str:
        """Snake-case id."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def ct_rate(self) -> str | None:
        """Column of CT-RATE's labels."""


class FindingNames:
    """From the names that a file may use to our ids: case, blanks and underscores do not matter."""

    def __init__(self, findings: Iterable[Named]) -> None:
        """`findings` are those of the vocabulary."""
        self._ids: dict[str, str] = {}
        terms = list(findings)
        # ids last: where two names are equal, the id is meant
        for attribute in ("name", "ct_rate", "id"):
            for term in terms:
                if name := getattr(term, attribute):
                    self._ids[plain(name)] = term.id
        known = {term.id for term in terms}
        for theirs, ours in RAD_CHESTCT.items():
            if ours in known:
                self._ids.setdefault(plain(theirs), ours)

    def id_of(self, name: str) -> str | None:
        """Our id, None for a name that is not known."""
        return self._ids.get(plain(name))

    def nearest(self, name: str) -> str | None:
        """The id of the known name that is spelt most alike."""
        near = get_close_matches(plain(name), self._ids, 1, SIMILAR)
        return self._ids[near[0]] if near else None

    def check(self, names: Sequence[str], file: str) -> None:
        """Refuse names that are not known.

        Raises:
            InputError: names the first one and the nearest known.
        """
        unknown = [name for name in names if self.id_of(name) is None]
        if unknown:
            near = self.nearest(unknown[0])
            meant = f"did you mean {near}?" if near else "docs/vocabulary.md tells how to add one"
            more = f", nor are {len(unknown) - 1} others" if len(unknown) > 1 else ""
            raise InputError(
                f"{file}: finding {unknown[0]} is not in the vocabulary{more}; {meant}"
            )


def plain(name: str) -> str:
    """Letters and digits of a name, lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
