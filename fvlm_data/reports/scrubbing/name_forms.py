"""Regular expressions for the spellings of a name, over texts in normal form."""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.scrubbing.normal_form import fold, fold_character

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.vocabulary.text_entries import IdentityWords

_BREAK = r"(?:-?[ \t]*\r?\n[ \t]*|[ \t'-])?"
"""What may stand between two letters of a long name: a hyphen, a blank, the end of a line."""
_DOUBLED = {"\u00e4": "e", "\u00f6": "e", "\u00fc": "e", "\u00df": "s", "\u00e6": "e",
            "\u00f8": "e", "\u00e5": "a"}  # fmt: skip
"""Letters that are written as two where a keyboard has none: the second one."""
_NOT_IN_SKELETON = re.compile(r"[\W_es]+")
_ASCII_NOT_IN_SKELETON = {code: None for code in range(128) if _NOT_IN_SKELETON.match(chr(code))}
"""The same for `str.translate`, which takes a tenth of the time."""
_SPLIT_FROM = 6
"""Letters from which a name is also looked for in pieces: a shorter one would hit plain words."""
SHORT = 2
"""Letters up to which a name is as often a unit or an abbreviation."""
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Scripts without blanks between words, or (Hangul) with particles joined to a name."""
_FAMILY_AND_GIVEN = 3
"""Letters of a name in such a script whose last two are most often the given name."""
_HANGUL = re.compile("[\uac00-\ud7a3]")
_SPLIT = re.compile(r"[\s,.;()^/]+")


class NameForm(NamedTuple):
    """One spelling of a name: `kind` says what must stand around it.

    whole: several parts together; word: one part; within: wherever it stands, in a script without
    blanks. No text matches that lacks one of the `needed` in each of its groups, in its skeleton.
    """

    kind: str
    pattern: str
    needed: tuple[tuple[str, ...], ...]


def name_forms(name: str, words: IdentityWords) -> Iterator[NameForm]:
    """All spellings of a name as headers give it; `=` parts its writings in several scripts."""
    for writing in name.split("="):
        parts = [part for part in _SPLIT.split(writing) if part]
        if any(map(_UNSPACED.search, parts)):
            yield from _unspaced(parts)
        else:
            yield from _spaced(parts, words)


def skeleton(folded: str) -> str:
    """Letters and digits without e and s, which a spelling may add or leave out."""
    if folded.isascii():
        return folded.translate(_ASCII_NOT_IN_SKELETON)
    return _NOT_IN_SKELETON.sub("", folded)


def _unspaced(parts: Sequence[str]) -> Iterator[NameForm]:
    folded = [fold(part) for part in parts]
    for order in (folded, folded[::-1]):
        letters = "".join(order)
        if len(letters) >= 2:
            gaps = r"[\s,\u00b7]{0,2}".join(re.escape(letter) for letter in letters)
            yield NameForm("within", gaps, ((skeleton(letters),),))
    if len(folded) == 1 and len(folded[0]) == _FAMILY_AND_GIVEN:
        folded.append(folded[0][1:])
    for part in folded if len(folded) > 1 else ():
        if len(part) >= 2:
            begins = r"(?<![^\W\d_])" if _HANGUL.match(part) else ""
            yield NameForm("within", begins + re.escape(part), ((skeleton(part),),))


def _spaced(parts: Sequence[str], words: IdentityWords) -> Iterator[NameForm]:
    common = frozenset(words.common_words)
    telling = [part for part in parts if fold(part) not in common and not _is_suffix(part, words)]
    for piece in dict.fromkeys(_pieces(parts, words)):
        if fold(piece) not in common and not _is_suffix(piece, words):
            yield NameForm("word", _inflected(piece, words), _needed(piece, words))
    if len(parts) > 1 and telling:
        yield from _together(parts, words)
    for part in telling:
        others = [other for other in parts if other is not part and other[0].isalpha()]
        for initial in dict.fromkeys(fold(other)[:1] for other in others):
            yield from _with_initial(part, initial, words)


def _pieces(parts: Sequence[str], words: IdentityWords) -> Iterator[str]:
    """What identifies by itself: parts, halves of double ones, parts with their particles."""
    particles = {*words.particles, *words.common_words, *(b for s in words.beginnings for b in s)}
    joined = ""
    for part in parts:
        if fold(part) in particles or len(part) == 1:
            joined += part
            continue
        if joined:
            yield joined + part
            joined = ""
        if _letters(part) >= SHORT:
            yield part
        halves = re.split(r"[-\u2010-\u2015'\u2019]", part)[:9]
        yield from (half for half in halves if len(half) >= 4)


def _together(parts: Sequence[str], words: IdentityWords) -> Iterator[NameForm]:
    """The whole name, begun with any part, and backwards; two neighbours; without the middle."""
    whole = [tuple(parts[at:]) + tuple(parts[:at]) for at in range(len(parts))]
    orders = {*whole, tuple(reversed(parts))}
    common = {*words.particles, *words.common_words, *words.name_suffixes}
    first, last = parts[0], parts[-1]
    if len(parts) > 2:
        orders.update(itertools.pairwise(parts))
        orders.update({(first, last), (last, first)})
    for order in sorted(orders):
        if len(parts) > 2 and len(order) == 2 and any(fold(one) in common for one in order):
            continue
        gaps = [_gap(part, order) for part in order[:-1]]
        spelt = [_word(part, words) + gap for part, gap in zip(order, gaps, strict=False)]
        needed = tuple(group for part in order for group in _needed(part, words))
        yield NameForm("whole", "".join((*spelt, _inflected(order[-1], words))), needed)


def _gap(part: str, order: Sequence[str]) -> str:
    """What stands behind a part of a name; a sentence may end behind a long one.

    A long name is also written without gaps, and so are two short given names (Li Na, LiNa).
    """
    if _letters(part) <= SHORT:
        joined = sum(map(_letters, order)) >= 4
        return r"\.?[\s,^_-]{0,2}" if joined else r"(?:\.[\s,^_]{0,2}|[\s,^_-]{1,3})"
    joined = sum(map(_letters, order)) >= _SPLIT_FROM
    return r"(?:[\s,^_-]{0,3}|\.)" if joined else r"(?:[\s,^_-]{1,3}|\.)"


def _with_initial(part: str, initial: str, words: IdentityWords) -> Iterator[NameForm]:
    spelt, needed = _word(part, words), _needed(part, words)
    yield NameForm("whole", rf"{spelt},\s?{re.escape(initial)}\b\.?", needed)
    yield NameForm("whole", rf"{re.escape(initial)}\.[ ]?{spelt}", needed)


def _is_suffix(part: str, words: IdentityWords) -> bool:
    return fold(part) in words.name_suffixes


def _letters(word: str) -> int:
    return sum(map(str.isalpha, word))


def _needed(word: str, words: IdentityWords) -> tuple[tuple[str, ...], ...]:
    """What is left of a word in the skeleton of a text, in all spellings of `_word`."""
    _, rest = _beginning(word, words)
    return ((skeleton("".join(map(fold_character, unicodedata.normalize("NFC", rest)))),),)


def _beginning(word: str, words: IdentityWords) -> tuple[tuple[str, ...], str]:
    """The spellings of how a name begins (Mc, Mac), and the rest; none where all is the rest."""
    for same in words.beginnings:
        for beginning in sorted(same, key=len, reverse=True):
            rest = word[len(beginning) :].lstrip(" '\u2019-")
            if fold(word).startswith(beginning) and _letters(rest) >= 3:
                return tuple(same), rest
    return (), word


def _inflected(word: str, words: IdentityWords) -> str:
    """A word with a genitive's s or a case ending ("Yilmaz'in", "Kowalskiego")."""
    if _letters(word) <= SHORT:
        return _word(word, words) + r"(?:'s)?"
    ending = 3 if len(word) >= _SPLIT_FROM else 1
    return _word(word, words) + rf"(?:'?s|'[^\W\d_]{{1,5}}|[^\W\d_]{{1,{ending}}})?"


def _word(word: str, words: IdentityWords) -> str:
    """A pattern for a word in all its spellings, whole or in pieces."""
    same, rest = _beginning(word, words)
    letters: list[str] = []
    for character in unicodedata.normalize("NFC", rest).lower():
        letters += _spellings(character, letters)
    between = _BREAK if len(letters) >= _SPLIT_FROM else "'?"
    spelt = between.join(letters)
    return rf"(?:{'|'.join(map(re.escape, same))}){_BREAK}{spelt}" if same else spelt


def _spellings(character: str, before: Sequence[str]) -> Iterator[str]:
    """Patterns for one letter of a name, behind those `before`."""
    plain = fold_character(character)
    if character in _DOUBLED:
        yield plain[:1]
        yield f"{_DOUBLED[character]}?"
    elif plain == "e" and before and before[-1] in ("a", "o", "u"):
        yield "e?"
    elif plain.isalnum():
        yield from plain
    else:
        yield from (rf"{re.escape(one)}?" for one in plain)
