"""Where the phrases of the vocabulary stand in a sentence: what medspaCy's matchers find, faster.

The vocabulary is literal words, so a tree of words finds in one pass what medspaCy's target and
cue matchers find by way of a spaCy document (medspacy_matching.py, against which it is tested).
Nothing here imports medspaCy, which takes some seconds of each process that reads a report.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.language.phrase_meanings import Phrase, phrase
from fvlm_data.reports.language.phrasebook import phrasebook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.reports.language.meanings import Cue, Meaning
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.vocabulary import Vocabulary

_Node = tuple[Any, Any]
"""What ends here (a phrase or none, cues), or none; nodes by next word, or none."""


@dataclass(slots=True)
class Match:
    """A phrase found in tokens [start, end)."""

    start: int
    end: int
    phrase: Phrase

    @property
    def meanings(self) -> tuple[Meaning, ...]:
        """All that it means."""
        return self.phrase.meanings

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of the meanings."""
        return frozenset(meaning.kind for meaning in self.phrase.meanings)


@dataclass(slots=True)
class CueMatch:
    """A cue found in tokens [start, end)."""

    start: int
    end: int
    cue: Cue


Found = tuple[list[Match], list[CueMatch]]
"""Phrases and cues of a sentence."""


class Engine:
    """Phrases and cues of the vocabulary, as a tree of canonical words."""

    def __init__(self, book: Phrasebook) -> None:
        """Build the tree from the phrases and cues of the book."""
        values = {
            words: (
                phrase(book.targets[words]) if words in book.targets else None,
                book.cues.get(words, ()),
            )
            for words in {*book.targets, *book.cues}
        }
        tree: dict[Any, Any] = {}
        for words, value in values.items():
            branch = tree
            for word in words:
                branch = branch.setdefault(word, {})
            branch[None] = value
        self._root: dict[str, _Node] = _node(tree)[1] or {}

    def doc(self, words: Sequence[str]) -> Found:
        """All phrases and cues in the sentence, overlapping ones too, in order."""
        targets: list[Match] = []
        cues: list[CueMatch] = []
        length = len(words)
        for start, node in enumerate(map(self._root.get, words)):
            end = start + 1
            while node is not None:
                value, longer = node
                if value is not None:
                    found, ended = value
                    if found is not None:
                        targets.append(Match(start, end, found))
                    for cue in ended:
                        cues.append(CueMatch(start, end, cue))
                if longer is None or end == length:
                    break
                node = longer.get(words[end])
                end += 1
        return targets, cues

    def targets(self, doc: Found) -> list[Match]:
        """All phrases of the vocabulary in the sentence, overlapping ones too."""
        return doc[0]

    def cues(self, doc: Found) -> list[CueMatch]:
        """All cues in the sentence, overlapping ones too."""
        return doc[1]


@lru_cache(maxsize=4)
def phrase_engine(vocabulary: Vocabulary) -> Engine:
    """The engine of a vocabulary, which parsers share: nothing that it finds changes it."""
    with _uncollected():
        return Engine(phrasebook(vocabulary))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector, which while all is kept would look through it a hundred times."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _node(branch: dict[Any, Any]) -> _Node:
    longer = {word: _node(next_branch) for word, next_branch in branch.items() if word is not None}
    return branch.get(None), longer or None
