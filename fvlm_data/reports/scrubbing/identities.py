"""Where what is known of a patient stands in a text: names, ids, dates and places.

Letters are compared without case and accents. A name is found inflected ("Mustermanns",
"Yilmaz'in"), broken over lines, hyphenated and letter-spaced; an id with other separators; a date
in every usual notation.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fvlm_data.vocabulary import Vocabulary
    from fvlm_data.vocabulary.entries import IdentityWords

NAME, ID, DATE = "[NAME]", "[ID]", "[DATE]"
DOT = r"\."

_BREAK = r"(?:[\u00ad\u200b\u0300-\u036f]|-?[ \t]*\r?\n[ \t]*|[ \t-])?"
"""What may stand between two letters of a long name: a hyphen, a blank, the end of a line."""
_SEPARATOR = r"[\s./_-]?"
_LETTERS = {"\u0131": "i", "\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u00e6": "a",
            "\u00df": "s", "\u00fe": "t", "\u00f0": "d", "\u0153": "o"}  # fmt: skip
_GERMAN = {"\u00e4": "ae", "\u00f6": "oe", "\u00fc": "ue", "\u00df": "ss", "\u00e6": "ae",
           "\u00f8": "oe"}  # fmt: skip
_NOT_IN_SKELETON = re.compile(r"[\W_es]+")
_SPLIT_FROM = 6
"""Letters from which a name is also looked for in pieces: a shorter one would hit plain words."""


class _Form(NamedTuple):
    """A regular expression for one spelling of an identity, over the folded text.

    No text matches it that lacks one of the `needed` in each of its groups, looked for in what
    `_skeleton` leaves of the text (names and ids) or in the folded text (dates).
    """

    placeholder: str
    pattern: str
    needed: tuple[tuple[str, ...], ...]


def known_spans(
    text: str, identities: Iterable[str], vocabulary: Vocabulary
) -> Iterator[tuple[int, int, str]]:
    """Start, end and placeholder of identities, dates before ids before names, longest first."""
    folded = fold(text)
    forms = {form for identity in set(identities) for form in _forms(identity, vocabulary)}
    if not forms:
        return
    skeleton = _skeleton(folded)
    kept = [form for form in forms if _may_stand(form, folded, skeleton)]
    for placeholder in (DATE, ID, NAME):
        mine = {form.pattern for form in kept if form.placeholder == placeholder}
        if not mine:
            continue
        for found in _compiled(frozenset(mine)).finditer(folded):
            if placeholder != NAME or not _plain_word(text, *found.span(), vocabulary):
                yield *found.span(), placeholder


def _may_stand(form: _Form, folded: str, skeleton: str) -> bool:
    """Whether a text may match: to compile a patient's patterns takes longer than to parse."""
    where = folded if form.placeholder == DATE else skeleton
    return all(any(one in where for one in group) for group in form.needed)


def _skeleton(folded: str) -> str:
    """Letters and digits without e and s, which a spelling may add or leave out."""
    return _NOT_IN_SKELETON.sub("", folded)


@lru_cache(maxsize=256)
def _compiled(forms: frozenset[str]) -> re.Pattern[str]:
    joined = "|".join(sorted(forms, key=lambda form: (-len(form), form)))
    return re.compile(rf"(?<!\w)(?:{joined})(?!\w)")


def fold(text: str) -> str:
    """The text in lower case without accents, as long as before."""
    if text.isascii():
        return text.lower()
    return "".join(map(_folded, text))


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    lower = character.lower()
    base = unicodedata.normalize("NFKD", _LETTERS.get(lower[0], lower[0]))[0]
    return base if unicodedata.combining(base) == 0 else character


@lru_cache(maxsize=4096)
def _forms(identity: str, vocabulary: Vocabulary) -> tuple[_Form, ...]:
    plain = " ".join(identity.replace("^", " ").split())
    day = _date(plain)
    if day is not None:
        return _date_forms(day, vocabulary.identities)
    if any(character.isdigit() for character in plain):
        return _number_forms(plain)
    return _name_forms(plain, frozenset(vocabulary.identities.common_words))


def _date_forms(day: dt.date, words: IdentityWords) -> tuple[_Form, ...]:
    """Every notation has the day, and the year's last two digits or the month's name."""
    month = tuple(map(fold, words.months[day.month]))
    needed = ((str(day.day),), (f"{day.year % 100:02d}", *month))
    return tuple(_Form(DATE, notation, needed) for notation in _notations(day, words))


def _number_forms(value: str) -> tuple[_Form, ...]:
    """An id with any separators; with none of its leading zeros where five digits remain."""
    characters = [character for character in fold(value) if character.isalnum()]
    if len(characters) < 4:
        return ()
    forms = {_SEPARATOR.join(map(re.escape, characters))}
    stripped = "".join(characters).lstrip("0")
    if len(stripped) >= 5:
        forms.add("0*" + _SEPARATOR.join(map(re.escape, stripped)))
    needed = ((_skeleton(stripped),),)
    return tuple(_Form(ID, form, needed) for form in forms)


def _name_forms(name: str, common: frozenset[str]) -> tuple[_Form, ...]:
    parts = [part for part in re.split(r"[\s,.;=()]+", name) if part]
    pieces = [part for part in parts if sum(map(str.isalpha, part)) >= 3]
    pieces += [half for part in parts for half in part.split("-") if len(half) >= 4]
    made = {
        _Form(NAME, _inflected(piece), ((_letters_of(piece),),))
        for piece in pieces
        if fold(piece) not in common
    }
    if len(parts) > 1 and not all(fold(part) in common for part in parts):
        gap = r"[\s,.^]{1,3}"
        words = [_word(part) for part in parts]
        letters = [_letters_of(part) for part in parts]
        forwards = gap.join((*words[:-1], _inflected(parts[-1])))
        made.add(_Form(NAME, forwards, (("".join(letters),),)))
        made.add(_Form(NAME, gap.join(reversed(words)), (("".join(reversed(letters)),),)))
    return tuple(made)


def _letters_of(word: str) -> str:
    """What is left of a word in the skeleton of a text, in all spellings of `_word`."""
    return _skeleton("".join(map(_folded, unicodedata.normalize("NFC", word).lower())))


def _inflected(word: str) -> str:
    """A word with a genitive's s or a case ending ("Yilmaz'in", "Kowalskiego")."""
    ending = 3 if len(word) >= _SPLIT_FROM else 1
    return _word(word) + rf"(?:['\u2019`]?s|['\u2019`][^\W\d_]{{1,5}}|[^\W\d_]{{1,{ending}}})?"


def _word(word: str) -> str:
    """A pattern for a word in all its spellings, whole or in pieces."""
    letters: list[str] = []
    for character in unicodedata.normalize("NFC", word).lower():
        plain = _folded(character)
        if character in _GERMAN:
            letters += (plain, f"{re.escape(_GERMAN[character][1])}?")
        elif plain == "e" and letters and letters[-1] in ("a", "o", "u"):
            letters.append("e?")
        elif plain.isalnum():
            letters.append(re.escape(plain))
        else:
            letters.append(rf"{re.escape(plain)}?")
    between = _BREAK if len(letters) >= _SPLIT_FROM else r"[\u00ad\u200b\u0300-\u036f]?"
    return between.join(letters)


def _plain_word(text: str, start: int, end: int, vocabulary: Vocabulary) -> bool:
    """Whether a name that is also a word of radiology ("Stone", "Long") is used as that word.

    As a name it has a capital in the midst of a sentence whose other words have none.
    """
    word = text[start:end]
    if not _is_term(word, vocabulary) or any(blank in word for blank in " \t\n"):
        return False
    before = text[max(0, start - 40) : start].rstrip()
    after = text[end : end + 40].split(maxsplit=1)
    neighbours = before[-1:].isupper() or (bool(after) and after[0].isupper())
    capitals = word.isupper() and neighbours
    titled = before.lower().endswith(vocabulary.identities.before_a_name)
    opens = not before or before[-1] in ".:;!?-*\u2022\n" or text[:start].endswith("\n")
    return not titled and (not word[0].isupper() or opens or capitals)


def _is_term(word: str, vocabulary: Vocabulary) -> bool:
    """Whether the vocabulary has the word: reports say it of organs and findings."""
    from fvlm_data.reports.language.phrasebook import phrasebook
    from fvlm_data.reports.language.tokens import OTHER_MARK, OTHER_WORD

    return phrasebook(vocabulary).lexicon.canonical(fold(word)) not in (OTHER_MARK, OTHER_WORD)


def month_form(brief: str, full: str) -> str:
    """A month's name, short or full, or short with a t ("Sept")."""
    if not full.startswith(brief):
        return f"(?:{any_of((full, brief))})"
    return rf"{re.escape(brief)}(?:{re.escape(full.removeprefix(brief))}|t)?"


def any_of(words: Iterable[str]) -> str:
    """An expression for any of the words, as they are written; for none where there is none."""
    return "|".join(map(re.escape, words)) or r"(?!)"


def _date(value: str) -> dt.date | None:
    if not (6 <= len(value) <= 10 and value[0].isdigit()):  # most ids: spare four attempts
        return None
    for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"):
        try:
            return dt.datetime.strptime(value, form).replace(tzinfo=dt.UTC).date()
        except ValueError:
            continue
    return None


def _notations(day: dt.date, words: IdentityWords) -> set[str]:
    """Regular expressions for the usual notations of a date."""
    year, short = f"{day.year:04d}", f"{day.year % 100:02d}"
    d, m = f"0?{day.day}", f"0?{day.month}"
    brief, full = map(fold, words.months[day.month])
    month = brief if full == brief else month_form(brief, full) + r"\.?"
    separator = r"\s?[-/.]\s?"
    years = f"(?:{year}|{short})"
    ordinal = f"(?:{'|'.join((*map(re.escape, words.ordinals), DOT))})?"
    of_month = rf"(?:(?:{any_of(words.day_of_month)})\s)?"
    return {
        f"{year}{day.month:02d}{day.day:02d}",
        separator.join((year, m, d)),
        separator.join((d, m, years)),
        separator.join((m, d, years)),
        rf"{d}{ordinal}[\s-]{of_month}{month},?[\s-]{years}",
        rf"{month}\s{d}{ordinal},?\s{years}",
        rf"{d}{ordinal}[\s-]{of_month}{month}",
        rf"{month}\s{d}{ordinal}",
    }
