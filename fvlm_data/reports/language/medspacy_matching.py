"""medspaCy's own matchers on the vocabulary: the setting `parse.engine: medspacy`.

They find what the tree of phrase_matching.py finds, and are what it is tested against.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.language.phrase_matching import CueMatch, Engine, Match
from fvlm_data.reports.language.phrase_meanings import phrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.reports.language.meanings import Cue
    from fvlm_data.reports.language.phrasebook import Phrasebook


def context_rule(words: Sequence[str], cue: Cue) -> Any:
    """The medspaCy ConTextRule of a cue that is written so, in canonical words."""
    with _quietly():
        from medspacy.context import ConTextRule
    rule: Any = ConTextRule
    return rule(
        " ".join(words),
        "DOUBT" if cue.overrules else cue.category.upper(),
        direction=_DIRECTIONS[cue.direction],
        metadata={"cue": cue},
    )


class MedspacyEngine:
    """medspaCy's target matcher and its matcher of ConText cues: what `Engine` must equal.

    Built from spacy.blank, so that nothing is downloaded; its sentence splitter is not used.
    """

    def __init__(self, book: Phrasebook) -> None:
        """Build the matchers: some seconds, most of them the import of medspaCy."""
        with _quietly():
            import spacy
            from medspacy.common.medspacy_matcher import MedspacyMatcher
            from medspacy.context import ConTextRule
            from medspacy.target_matcher import TargetMatcher, TargetRule
            from spacy.tokens import Doc
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
        rules = [context_rule(words, cue) for words, cues in book.cues.items() for cue in cues]
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
            made.append(CueMatch(start, end, rule.metadata["cue"]))
        return made


AnyEngine = Engine | MedspacyEngine
"""What finds the phrases of a vocabulary."""

_NEVER: list[dict[str, str]] = [{"ORTH": "\x00"}]
"""A token pattern that nothing matches: spaCy warns at every call of a matcher without one."""

_DIRECTIONS = {
    "forward": "FORWARD",
    "backward": "BACKWARD",
    "both": "BIDIRECTIONAL",
    "pseudo": "PSEUDO",
}


@contextmanager
def _quietly() -> Iterator[None]:
    """An import of medspaCy, which switches all warnings off for the whole process, undone."""
    silence_loguru()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    silence_loguru()


def silence_loguru() -> None:
    """Keep medspaCy's splitter from logging every token of a report (loguru, level DEBUG)."""
    from loguru import logger

    for name in ("PyRuSH", "medspacy", "quickumls", "medspacy_quickumls"):
        logger.disable(name)
