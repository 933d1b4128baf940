"""Tokens: words of a sentence in the vocabulary's own spelling, and their place in the text.

Only words that the vocabulary uses reach spaCy; every other word is the same placeholder. So
nothing of a report can remain in spaCy's string store, whose size stays what the vocabulary
makes it, however many reports are read.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.language.compounds import Compounds
from fvlm_data.reports.language.suffixes import Suffixes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fvlm_data.vocabulary.grammar_entries import Spelling

OTHER_WORD = "_"
OTHER_MARK = "."
NUMBER = "0"
"""What every number but a naught is read as."""
NAUGHT = "zero"
_NAUGHT = re.compile(r"0+(?:[.,]0+)?")

_SPAN = re.Match.span
_LONGEST_WORD = 40
_SHORTEST_MISSPELT = 7
_SAFE_PREFIX = 3
_SHORTEST_PLURAL = 4
_SHORTEST_STEM = 3
"""Letters that a word keeps at least where it may lose several endings."""
_LONG = 5
"""Letters above which a word is long (`long_variants` and `long_endings` of grammar.yaml)."""


Spans = list[tuple[int, int]]
"""Start and end of each token of a text, in characters."""


def _token(spelling: Spelling) -> re.Pattern[str]:
    """What is one token; a hyphen within a word (ground-glass) is none."""
    whole = "|".join(map(re.escape, spelling.whole)) or r"(?!)"
    prefixes = "|".join(map(re.escape, spelling.prefixes)) or r"(?!)"
    # A letter and its diacritic may be two characters, as files of macOS and PDF have them.
    letters = r"(?:[^\W\d_][\u0300-\u036f]*)+" if spelling.folds else r"[^\W\d_]+"
    # The first part of "Leber- und Nierenzysten" has a hyphen that is no mark of its own.
    hyphen = r"(?<![^\W_].)" if spelling.compounds else r"(?:(?<![^\W_].)|(?![^\W_]))"
    return re.compile(
        _dotted(spelling) +
        # "nondilated" is two words, as "non-dilated" is.
        rf"\d+(?:[.,]\d+)*|(?!(?i:{whole}))(?i:{prefixes})(?=[^\W\d_]{{5}})"
        rf"|{letters}(?:['\u2019]{letters})?\d*|[^\w\s\u2010\u2011-]|_"
        # A hyphen within a word is passed over: a letter or digit stands on either side.
        rf"|[\u2010\u2011-]{hyphen}",
        re.UNICODE,
    )


def _dotted(spelling: Spelling) -> str:
    """Abbreviations with their dot ("V. a."), and ordinals before a word ("7. Rippe")."""
    if not spelling.dotted:
        return ""
    longest_first = sorted(spelling.dotted, key=lambda word: (-len(word), word))
    words = "|".join(map(re.escape, longest_first))
    return rf"(?<![^\W\d_])(?i:{words})\.|(?<![\d.,])\d{{1,2}}\.(?=[ \t]+[^\W\d_])|"


def _plain(word: str) -> str:
    return word.lower().replace("\u2019", "'")


class Lexicon:
    """The words of all phrases, and the way from a word of a report to one of them."""

    def __init__(
        self,
        phrases: Iterable[str],
        medical: Iterable[str],
        spelling: Spelling,
        organs: Iterable[str] = (),
    ) -> None:
        """Take the words of the given phrases, which name no macro.

        Misspelt words of the `medical` phrases, a part of them, are mended. Words are taken apart
        where the language writes several as one; `organs` are phrases that may begin such a word
        whose other parts are not known.
        """
        self._spelling = spelling
        self._token = _token(spelling)
        self._forms = _Forms(spelling)
        self._folded = self._forms.folded
        self._real_words = frozenset(map(self._folded, spelling.real_words))
        self._short = {
            self._folded(word): self._folded(whole) for word, whole in spelling.short.items()
        }
        self._in_company = {self._folded(one.word): one for one in spelling.in_company}
        self._compounds: Compounds | None = None
        phrases, medical = list(phrases), list(medical)
        if spelling.compounds is not None:
            parts = self._words_of(medical) | set(map(self._folded, spelling.compounds.parts))
            self._compounds = Compounds(
                (self._words_of(phrases) - parts) | self._real_words,
                parts,
                self._words_of(organ for organ in organs if len(organ.split()) == 1),
                self._forms,
                spelling.compounds.shortest,
            )
            phrases += spelling.compounds.parts
        raw, known = self._words_of(phrases), self._words_of(medical)
        self._raw = frozenset(word for word in raw if not word[0].isdigit())
        self._near = _deletions(known)
        self.canonical = lru_cache(maxsize=100_000)(self._canonical)

    def _words_of(self, phrases: Iterable[str]) -> set[str]:
        return {self._folded(word) for phrase in phrases for word in self.split(phrase)}

    def folded(self, word: str) -> str:
        """A word in lower case, letters that are written in two ways in one."""
        return self._folded(word)

    def is_word(self, word: str) -> bool:
        """Whether a word in lower case is of the vocabulary, or known to be no slip of the pen."""
        word = self._folded(word)
        return word in self._raw or word in self._short or word in self._real_words

    def split(self, text: str) -> list[str]:
        """Words of a text as they stand; a hyphen within a word (ground-glass) is no token."""
        written = self._token.findall(text)
        if self._compounds is None:
            return written
        return [piece for word in written for piece in self._compounds.pieces(word)]

    def spans(self, text: str) -> Spans:
        """Where the words of `split` stand."""
        if self._compounds is not None:
            return self.places(text, self.split(text))
        return list(map(_SPAN, self._token.finditer(text)))

    def places(self, text: str, written: Iterable[str]) -> Spans:
        """The same for a text that was split: between two words stands no letter of another."""
        made, end = [], 0
        for word in written:
            start = text.find(word, end)
            end = start + len(word)
            made.append((start, end))
        return made

    def words(self, text: str) -> tuple[str, ...]:
        """Canonical words of a text."""
        return self.read(self.split(text))

    def read(self, written: Sequence[str]) -> tuple[str, ...]:
        """Canonical words of a split text; short ones of several meanings by their neighbours."""
        words = tuple(map(self.canonical, written))
        if self._in_company.keys().isdisjoint(map(str.lower, written)):
            return words
        made = list(words)
        for i, word in enumerate(written):
            one = self._in_company.get(word.lower())
            if one is None:
                continue
            before = {written[i - 1].lower(), words[i - 1]} if i else set()
            behind = {written[i + 1].lower(), words[i + 1]} if i + 1 < len(words) else set()
            if behind.isdisjoint(one.never_ahead) and not (
                before.isdisjoint(one.behind) and behind.isdisjoint(one.ahead)
            ):
                made[i] = self.canonical(one.means)
        return tuple(made)

    def phrase_words(self, phrase: str) -> tuple[str, ...]:
        """Canonical words of a phrase of the vocabulary, where a figure stands for any number."""
        return tuple(
            NUMBER if word[0].isdigit() else self.canonical(word) for word in self.split(phrase)
        )

    def _canonical(self, word: str) -> str:
        word = self._folded(word)
        word = self._short.get(word, word)
        if word[0].isdigit():
            naught = NAUGHT in self._raw and _NAUGHT.fullmatch(word)
            return NAUGHT if naught else NUMBER
        if not word[0].isalpha():
            return word if word in self._raw else OTHER_MARK
        if len(word) > _LONGEST_WORD:
            return OTHER_WORD
        if word[-1] == ".":
            word = word[:-1]
        for ending in self._spelling.genitives:
            if word.endswith(ending):
                word = word if word in self._raw else word.removesuffix(ending)
        for spelling in self._forms.spellings(word):
            for form in (*self._forms.singulars(spelling), spelling):
                if form in self._raw:
                    # "rechten" is "rechte" is "recht"
                    inflected = self._forms.inflects and form != word
                    return self._canonical(form) if inflected else form
        return self._corrected(word)

    def _corrected(self, word: str) -> str:
        """The one word of the vocabulary that a long word misspells by one letter."""
        if word in self._real_words:
            return OTHER_WORD
        for form in (word, *self._forms.singulars(word)):
            if len(form) < _SHORTEST_MISSPELT:
                continue
            near = {
                known
                for shorter in (form, *_shortened(form))
                for known in self._near.get(shorter, ())
                if _is_misspelling(form, known)
            }
            # Forms of one word (atelectasis, atelectases) may both be near, other words not.
            if near and len({known[: len(form) - 3] for known in near}) == 1:
                return min(near)
        return OTHER_WORD


def _deletions(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each long word under itself and under what it is with one letter left out."""
    made: dict[str, set[str]] = {}
    for word in words:
        if len(word) >= _SHORTEST_MISSPELT and word.isalpha():
            for key in (word, *_shortened(word)):
                made.setdefault(key, set()).add(word)
    return {key: tuple(sorted(made[key])) for key in sorted(made)}


def _shortened(word: str) -> set[str]:
    return {word[:i] + word[i + 1 :] for i in range(1, len(word))}


def _is_misspelling(word: str, known: str) -> bool:
    """One letter wrong past the prefix, a doubled letter missed or made, or two swapped.

    Prefixes tell words apart (intrarenal, infrarenal), so other slips there are not mended.
    """
    if word[-1] != known[-1]:
        return word[-2:] == known[-2:][::-1] and word[:-2] == known[:-2]
    first = next((i for i, (a, b) in enumerate(zip(word, known, strict=False)) if a != b), None)
    if first is None:
        return len(word) != len(known)
    if len(word) == len(known):
        swapped = (
            word[first : first + 2] == known[first : first + 2][::-1]
            and word[first + 2 :] == known[first + 2 :]
        )
        return swapped or (first >= _SAFE_PREFIX and word[first + 1 :] == known[first + 1 :])
    longer, shorter = (word, known) if len(word) > len(known) else (known, word)
    one_more = longer[first + 1 :] == shorter[first:]
    return one_more and (first >= _SAFE_PREFIX or longer[first] == longer[first - 1])


class _Forms:
    """Other forms of a word, by the spelling of a language."""

    def __init__(self, spelling: Spelling) -> None:
        self._variants = sorted(spelling.variants.items())
        self._long_variants = sorted(spelling.long_variants.items())
        self._long_endings = sorted(spelling.long_endings.items())
        self._plurals = sorted(spelling.plurals.items(), key=lambda one: (len(one[0]), one[0]))
        self._plural_ends = tuple(spelling.plurals)
        self._singular = spelling.singular
        self._folds = str.maketrans(spelling.folds)
        self._suffixes = Suffixes(
            [[self.folded(one) for one in place] for place in spelling.suffixes],
            {self.folded(soft): self.folded(hard) for soft, hard in spelling.softened.items()},
            [self.folded(one) for one in spelling.vowels],
        )
        self.inflects = bool(spelling.umlauts) or bool(self._suffixes)
        """Whether more than one ending may be taken off."""
        self._umlauts = sorted(spelling.umlauts.items())
        self._own_plurals = frozenset(map(self.folded, spelling.own_plurals))

    def folded(self, word: str) -> str:
        """The word in lower case, letters that are written in two ways in one."""
        if not self._folds:
            return _plain(word)
        return unicodedata.normalize("NFC", _plain(word)).translate(self._folds)

    def spellings(self, word: str) -> list[str]:
        """The word, and what it is in the vocabulary's own spelling."""
        own = word
        for theirs, ours in self._variants:
            own = own.replace(theirs, ours)
        if len(own) > _LONG:
            for theirs, ours in self._long_variants:
                own = own.replace(theirs, ours)
            for theirs, ours in self._long_endings:
                if own.endswith(theirs):
                    own = own.removesuffix(theirs) + ours
        return [word] if own == word else [word, own]

    def singulars(self, word: str) -> list[str]:
        """What a word may be the plural of."""
        if self._suffixes:
            return [] if word in self._own_plurals else self._suffixes.stems(word)
        if len(word) < _SHORTEST_PLURAL or not word.endswith(self._plural_ends):
            return []
        if word.endswith(self._singular) or word in self._own_plurals:
            return []
        made = [
            word.removesuffix(ending) + singular
            for ending, singular in self._plurals
            if word.endswith(ending)
        ]
        if not self.inflects:
            return made
        made = [form for form in made if len(form) >= _SHORTEST_STEM]
        return made + self._without_umlauts(made)

    def _without_umlauts(self, forms: Sequence[str]) -> list[str]:
        """The forms with their last umlaut undone ("Ergüsse", "Wände")."""
        return [
            form[:place] + plain + form[place + len(umlaut) :]
            for form in forms
            for umlaut, plain in self._umlauts
            if (place := form.rfind(umlaut)) >= 0
        ]
