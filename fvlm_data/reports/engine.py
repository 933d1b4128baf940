"""medspaCy, set up for our vocabulary: where its phrases stand in a sentence.

The pipeline is built in the process that uses it, from spacy.blank, so that nothing is
downloaded and nothing has to be pickled. medspaCy's own sentence splitter is not used.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fvlm_data.reports.phrasebook import Cue, Meaning, Phrasebook
    from fvlm_data.reports.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase found in tokens [start, end)."""

    start: int
    end: int
    meanings: tuple[Meaning, ...]


@dataclass(frozen=True, slots=True)
class CueMatch:
    """A cue found in tokens [start, end); `rule` is its medspaCy ConTextRule."""

    start: int
    end: int
    cue: Cue
    rule: Any


class Engine:
    """medspaCy's target matcher and its matcher of ConText cues, over canonical words."""

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
        cue_rule: Any = ConTextRule
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
        self._cues.add(
            [
                cue_rule(
                    " ".join(words),
                    cue.category.upper(),
                    direction=_DIRECTIONS[cue.direction],
                    metadata={"cue": cue},
                )
                for words, cues in book.cues.items()
                for cue in cues
            ]
            + [cue_rule("none", "NONE", pattern=_NEVER, direction="PSEUDO")]
        )
        self._strings = nlp.vocab.strings

    def doc(self, tokens: Tokens) -> Any:
        """A spaCy Doc of the canonical words."""
        return self._doc(tokens.words)

    def targets(self, doc: Any) -> list[Match]:
        """All phrases of the vocabulary in the sentence, overlapping ones too."""
        return [
            Match(span.start, span.end, span._.target_rule.metadata["meanings"])
            for span in self._targets(doc)
        ]

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
