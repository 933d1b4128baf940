"""Where the phrases of the vocabulary stand in a sentence: what medspaCy's matchers find, faster.

The vocabulary is literal words, so a tree of words finds in one pass what medspaCy's target and
cue matchers find by way of a spaCy document (MedspacyEngine, against which it is tested). The
cues keep their medspaCy rules: assertion.py reasons with its ConText graph.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.language.phrase_meanings import Phrase, phrase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.phrasebook import Cue, Meaning, Phrasebook

_Node = tuple[Any, Any]
"""What ends here (a phrase or none, cues with rules), or none; nodes by next word, or none."""


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
    """A cue found in tokens [start, end); `rule` is its medspaCy ConTextRule."""

    start: int
    end: int
    cue: Cue
    rule: Any


Found = tuple[list[Match], list[CueMatch]]
"""Phrases and cues of a sentence."""


class Engine:
    """Phrases and cues of the vocabulary, as a tree of canonical words."""

    def __init__(self, book: Phrasebook) -> None:
        """Build the tree: a second or two, most of it the import of spaCy for the rules."""
        rules = cue_rules(book)
        values = {
            words: (
                phrase(book.targets[words]) if words in book.targets else None,
                rules.get(words, ()),
            )
            for words in {*book.targets, *rules}
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
                    found, rules = value
                    if found is not None:
                        targets.append(Match(start, end, found))
                    for cue, rule in rules:
                        cues.append(CueMatch(start, end, cue, rule))
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


def _node(branch: dict[Any, Any]) -> _Node:
    longer = {word: _node(next_branch) for word, next_branch in branch.items() if word is not None}
    return branch.get(None), longer or None


def cue_rules(book: Phrasebook) -> dict[tuple[str, ...], tuple[tuple[Cue, Any], ...]]:
    """Each cue with its medspaCy ConTextRule."""
    silence_loguru()
    with warnings.catch_warnings():
        # Importing medspacy switches all warnings off for the whole process.
        warnings.simplefilter("ignore")
        from medspacy.context import ConTextRule
    silence_loguru()
    rule: Any = ConTextRule
    return {
        words: tuple(
            (
                cue,
                rule(
                    " ".join(words),
                    "DOUBT" if cue.overrules else cue.category.upper(),
                    direction=_DIRECTIONS[cue.direction],
                    metadata={"cue": cue},
                ),
            )
            for cue in cues
        )
        for words, cues in book.cues.items()
    }


class MedspacyEngine:
    """medspaCy's target matcher and its matcher of ConText cues: what Engine must equal.

    Built from spacy.blank, so that nothing is downloaded; its sentence splitter is not used.
    """

    def __init__(self, book: Phrasebook) -> None:
        """Build the matchers: a second or two, most of it the import of spaCy."""
        silence_loguru()
        with warnings.catch_warnings():
            # Importing medspacy switches all warnings off for the whole process.
            warnings.simplefilter("ignore")
            import spacy
            from medspacy.common.medspacy_matcher import MedspacyMatcher
            from medspacy.context import ConTextRule
            from medspacy.target_matcher import TargetMatcher, TargetRule
            from spacy.tokens import Doc
        silence_loguru()
        nlp: Any = spacy.blank("en")
        new_doc: Any = Doc
        rule: Any = ConTextRule
        none = rule("none", "NONE", pattern=_NEVER, direction="PSEUDO")
        nlp.tokenizer = lambda text: new_doc(nlp.vocab, words=text.split(" "))
        self._doc: Any = lambda words: new_doc(nlp.vocab, words=list(words))
        self._targets = TargetMatcher(
            nlp, result_type=None, phrase_matcher_attr="ORTH", prune=False
        )
        self._targets.add(
            [
                TargetRule(" ".join(words), "TARGET", metadata={"meanings": meanings})
                for words, meanings in book.targets.items()
            ]
            + [TargetRule("none", "TARGET", pattern=_NEVER, metadata={"meanings": ()})]
        )
        self._cues = MedspacyMatcher(nlp, phrase_matcher_attr="ORTH", prune=False)
        rules = [rule for cues in cue_rules(book).values() for _, rule in cues]
        self._cues.add([*rules, none])
        self._strings = nlp.vocab.strings

    def doc(self, words: Sequence[str]) -> Any:
        """A spaCy Doc of canonical words."""
        return self._doc(words)

    def targets(self, doc: Any) -> list[Match]:
        """All phrases of the vocabulary in the sentence, overlapping ones too."""
        made = []
        for span in self._targets(doc):
            meanings = span._.target_rule.metadata["meanings"]
            made.append(Match(span.start, span.end, phrase(meanings)))
        return made

    def cues(self, doc: Any) -> list[CueMatch]:
        """All cues in the sentence, overlapping ones too."""
        rules = self._cues.rule_map
        made = []
        for match_id, start, end in self._cues(doc):
            rule = rules[self._strings[match_id]]
            made.append(CueMatch(start, end, rule.metadata["cue"], rule))
        return made


_NEVER: list[dict[str, str]] = [{"ORTH": "\x00"}]
"""A token pattern that nothing matches: spaCy warns at every call of a matcher without one."""

_DIRECTIONS = {
    "forward": "FORWARD",
    "backward": "BACKWARD",
    "both": "BIDIRECTIONAL",
    "pseudo": "PSEUDO",
}


def silence_loguru() -> None:
    """Keep medspaCy's splitter from logging every token of a report (loguru, level DEBUG)."""
    from loguru import logger

    for name in ("PyRuSH", "medspacy", "quickumls", "medspacy_quickumls"):
        logger.disable(name)
