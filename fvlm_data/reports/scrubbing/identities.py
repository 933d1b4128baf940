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

NAME, ID, DATE = "[NAME]", "[ID]", "[DATE]"
MONTHS = (
    ("jan", "january"), ("feb", "february"), ("mar", "march"), ("apr", "april"),
    ("may", "may"), ("jun", "june"), ("jul", "july"), ("aug", "august"),
    ("sep", "september"), ("oct", "october"), ("nov", "november"), ("dec", "december"),
)  # fmt: skip

_COMMON = frozenset({
    "and", "center", "centre", "city", "clinic", "clinica", "clinical", "clinics", "college",
    "department", "dept", "for", "foundation", "general", "healthcare", "health", "hospital",
    "hospitals", "imaging", "institut", "institute", "international", "klinik", "klinikum",
    "krankenhaus", "medical", "medicine", "memorial", "national", "of", "radiologie",
    "radiology", "regional", "saint", "sankt", "scan", "scanner", "school", "street", "strasse",
    "the", "unit", "universitat", "university", "van", "von", "der", "den", "del", "des", "dos",
    "las", "los",
})  # fmt: skip
"""Words of names and places that identify nobody by themselves."""

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


def known_spans(text: str, identities: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Start, end and placeholder of identities, dates before ids before names, longest first."""
    folded = fold(text)
    forms = {form for identity in set(identities) for form in _forms(identity)}
    if not forms:
        return
    skeleton = _skeleton(folded)
    kept = [form for form in forms if _may_stand(form, folded, skeleton)]
    for placeholder in (DATE, ID, NAME):
        mine = {form.pattern for form in kept if form.placeholder == placeholder}
        if not mine:
            continue
        for found in _compiled(frozenset(mine)).finditer(folded):
            if placeholder != NAME or not _plain_word(text, *found.span()):
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
def _forms(identity: str) -> tuple[_Form, ...]:
    plain = " ".join(identity.replace("^", " ").split())
    day = _date(plain)
    if day is not None:
        return _date_forms(day)
    if any(character.isdigit() for character in plain):
        return _number_forms(plain)
    return _name_forms(plain)


def _date_forms(day: dt.date) -> tuple[_Form, ...]:
    """Every notation has the day, and the year's last two digits or the month's name."""
    needed = ((str(day.day),), (f"{day.year % 100:02d}", MONTHS[day.month - 1][0]))
    return tuple(_Form(DATE, notation, needed) for notation in _notations(day))


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


def _name_forms(name: str) -> tuple[_Form, ...]:
    parts = [part for part in re.split(r"[\s,.;=()]+", name) if part]
    pieces = [part for part in parts if sum(map(str.isalpha, part)) >= 3]
    pieces += [half for part in parts for half in part.split("-") if len(half) >= 4]
    made = {
        _Form(NAME, _inflected(piece), ((_letters_of(piece),),))
        for piece in pieces
        if fold(piece) not in _COMMON
    }
    if len(parts) > 1 and not all(fold(part) in _COMMON for part in parts):
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


def _plain_word(text: str, start: int, end: int) -> bool:
    """Whether a name that is also a word of radiology ("Stone", "Long") is used as that word.

    As a name it has a capital in the midst of a sentence whose other words have none.
    """
    word = text[start:end]
    if not _is_term(word) or any(blank in word for blank in " \t\n"):
        return False
    before = text[max(0, start - 40) : start].rstrip()
    after = text[end : end + 40].split(maxsplit=1)
    neighbours = before[-1:].isupper() or (bool(after) and after[0].isupper())
    capitals = word.isupper() and neighbours
    titled = before.lower().endswith(("mr.", "mrs.", "ms.", "mr", "mrs", "ms", "patient", "name:"))
    opens = not before or before[-1] in ".:;!?-*\u2022\n" or text[:start].endswith("\n")
    return not titled and (not word[0].isupper() or opens or capitals)


def _is_term(word: str) -> bool:
    """Whether the vocabulary has the word: reports say it of organs and findings."""
    from fvlm_data.reports.language.phrasebook import phrasebook
    from fvlm_data.reports.language.tokens import OTHER_MARK, OTHER_WORD

    return phrasebook().lexicon.canonical(fold(word)) not in (OTHER_MARK, OTHER_WORD)


def _date(value: str) -> dt.date | None:
    if not (6 <= len(value) <= 10 and value[0].isdigit()):  # most ids: spare four attempts
        return None
    for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"):
        try:
            return dt.datetime.strptime(value, form).replace(tzinfo=dt.UTC).date()
        except ValueError:
            continue
    return None


def _notations(day: dt.date) -> set[str]:
    """Regular expressions for the usual notations of a date."""
    year, short = f"{day.year:04d}", f"{day.year % 100:02d}"
    d, m = f"0?{day.day}", f"0?{day.month}"
    brief, full = MONTHS[day.month - 1]
    month = rf"{brief}(?:{full[3:]}|t)?\.?" if full != brief else brief
    separator = r"\s?[-/.]\s?"
    years = f"(?:{year}|{short})"
    ordinal = r"(?:st|nd|rd|th|\.)?"
    return {
        f"{year}{day.month:02d}{day.day:02d}",
        separator.join((year, m, d)),
        separator.join((d, m, years)),
        separator.join((m, d, years)),
        rf"{d}{ordinal}[\s-](?:of\s)?{month},?[\s-]{years}",
        rf"{month}\s{d}{ordinal},?\s{years}",
        rf"{d}{ordinal}[\s-](?:of\s)?{month}",
        rf"{month}\s{d}{ordinal}",
    }
