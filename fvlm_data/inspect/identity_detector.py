"""A second look for identities in scrubbed texts, by form alone: it knows no header and no patient.

Independent of scrubbing on purpose: what scrubbing overlooks it must not overlook for the same
reason. It errs towards telling too much.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.reports.scrubbing.standing import is_plain_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fvlm_data.vocabulary import Vocabulary

_PLACEHOLDER = re.compile(r"\[(?:NAME|ID|DATE|PHONE|MAIL|ADDRESS)\]")
_CAPITALISED = re.compile(r"[A-Z\u00c0-\u00de\u0100-\u024f][a-z\u00df-\u024f'\u2019-]{2,}")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_UNSPACED_NAME = re.compile("[\u4e00-\u9fff\uac00-\ud7a3]{2,}")
_FORMS = {
    "record_number": r"(?<![\w.])(?:[A-Z]{1,5}[-/ ]?)?\d{6,}(?![\w.]*\d)|\d+(?:\.\d+){5,}",
    "date": r"(?<!\d)(?:\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)?\d{2}|(?:19|20)\d{2}[-/.]\d{1,2}"
    r"[-/.]\d{1,2})(?!\d)",
    "contact": r"[\w.+-]+@[\w-]+\.\w|(?:https?://|www\.)\S|(?<![\w.])\+?\(?\d{3,5}\)?[ /-]\d{3,4}"
    r"[ -]\d{2,4}(?!\d)",
}


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds what may be an identity; `entities` adds what a model of named entities finds."""

    vocabulary: Vocabulary
    patterns: dict[str, re.Pattern[str]]
    entities: Callable[[str], int] | None

    def counts(self, text: str) -> dict[str, int]:
        """How many possible identities of each kind a scrubbed text holds."""
        bare = _PLACEHOLDER.sub(" . ", text)
        found = {kind: len(form.findall(bare)) for kind, form in self.patterns.items()}
        found["person"] = sum(1 for _ in self._people(bare))
        if self.entities is not None:
            found["person_by_model"] = self.entities(bare)
        return {kind: number for kind, number in found.items() if number}

    def _people(self, text: str) -> Iterator[str]:
        """Words in capitals within a sentence, in no vocabulary; two together anywhere."""
        words = list(_WORD.finditer(text))
        for one, following in zip(words, [*words[1:], None], strict=True):
            if _UNSPACED_NAME.fullmatch(one[0]):
                yield one[0]
            if not self._unknown(one[0]):
                continue
            opens = not re.search(r"[^\s:.;!?*\u2022\n-]\s*$", text[: one.start()][-4:])
            paired = following is not None and self._unknown(following[0])
            near = paired and following is not None and following.start() - one.end() <= 2
            if not opens or near:
                yield one[0]

    def _unknown(self, word: str) -> bool:
        return bool(_CAPITALISED.fullmatch(word)) and not is_plain_word(self.vocabulary, word)


def detector(vocabulary: Vocabulary, model: str | None = None) -> Detector:
    """The detector of a language, with a spaCy `model` of named entities where one is named.

    Raises:
        ConfigError: the model is not installed.
    """
    words = vocabulary.identities.audit
    street = "|".join(map(re.escape, words.streets)) or r"(?!)"
    label = "|".join(map(re.escape, words.number_labels)) or r"(?!)"
    forms = {
        **_FORMS,
        "address": rf"\d+[a-z]?,? (?:[A-Z][\w'\u2019.-]+ ){{1,3}}(?i:{street})\b"
        rf"|\b[A-Z][\w\u00df-]+(?i:{street})\s\d+|\b[A-Z]{{2}} \d{{5}}(?:-\d{{4}})?\b",
        "labelled_number": rf"(?i:\b(?:{label}))\W{{0,3}}\w*\d\w*",
    }
    compiled = {kind: re.compile(form) for kind, form in forms.items()}
    return Detector(vocabulary, compiled, _entities(model) if model else None)


def _entities(model: str) -> Callable[[str], int]:
    with warnings.catch_warnings():  # spaCy imports what its own dependencies call old
        warnings.simplefilter("ignore")
        import spacy
    try:
        pipeline = spacy.load(model)
    except OSError as error:
        raise ConfigError(
            f"model {model}: not installed here; expected a spaCy model with named entities, as "
            "en_core_web_sm; install it, or leave --ner out"
        ) from error
    return lambda text: sum(one.label_ in ("PERSON", "PER") for one in pipeline(text).ents)
