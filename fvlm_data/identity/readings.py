"""What a header's bytes may say where the character set they are declared in may be wrong.

Scanners and gateways write UTF-8 without saying so, or declare Latin-1 over a national code page.
A name is looked for in every reading that could be one, so that it is found in a report.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_ALPHABETS = (
    "utf-8", "latin-1", "cp1252", "iso8859-2", "cp1250", "iso8859-4", "iso8859-9", "iso8859-5",
    "cp1251", "koi8-r", "iso8859-7", "iso8859-8", "iso8859-6", "tis-620",
)  # fmt: skip
_SYLLABARIES = ("gb18030", "cp949", "shift_jis", "euc_jp", "big5")
_STATEFUL = ("iso2022_jp_2", "iso2022_kr")
_MARKS = frozenset(" ^=-.,'\u2019\u02bc()/&;\u00b7")
"""What stands in a name or place beside letters and digits."""
_SCRIPTS = {
    "CJK": "HAN", "HIRAGANA": "HAN", "KATAKANA": "HAN",
    "FEMININE": "LATIN", "MASCULINE": "LATIN", "MICRO": "LATIN",
}  # fmt: skip
"""Scripts that are written together; signs that are named by another word than their script."""


def readings(raw: bytes) -> tuple[str, ...]:
    """Every text that the bytes of a name may be, the likeliest first; none that is no name.

    Plain ASCII has one. Else UTF-8, the alphabets of DICOM and the common code pages are tried;
    bytes that stand alone among ASCII letters are accents of a Latin alphabet.
    """
    if raw.isascii() and b"\x1b" not in raw:
        return (raw.decode("ascii"),)
    if b"\x1b" in raw:
        return _distinct(_decoded(raw, _STATEFUL))
    found = _distinct(_decoded(raw, (*_ALPHABETS, *_SYLLABARIES)))
    latin = tuple(text for text in found if _scripts(text) == {"LATIN"} and _mostly_ascii(text))
    return latin or found


@lru_cache(maxsize=4096)
def reread(text: str) -> tuple[str, ...]:
    """A text, and what it says where its bytes were read in a wrong Western alphabet."""
    if text.isascii():
        return (text,)
    for alphabet in ("latin-1", "cp1252"):
        try:
            raw = text.encode(alphabet)
        except UnicodeEncodeError:
            continue
        return _distinct((text, *readings(raw)))
    return (text,)


def _decoded(raw: bytes, encodings: tuple[str, ...]) -> list[str]:
    found = []
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _is_name(text):
            found.append(text)
    return found


def _is_name(text: str) -> bool:
    """Whether a text is of letters, digits and few marks, each word in one script."""
    for word in text.replace("=", " ").replace("^", " ").split():
        if not all(_fits(one) for one in word) or len(_scripts(word)) > 1:
            return False
    return True


def _mostly_ascii(text: str) -> bool:
    letters = [one for one in text if one.isalpha()]
    return 2 * sum(map(str.isascii, letters)) > len(letters)


def _fits(character: str) -> bool:
    return character in _MARKS or unicodedata.category(character)[0] in "LMN"


def _scripts(text: str) -> set[str]:
    """Scripts of a text's letters and vowel signs, by the first word of their names in Unicode."""
    found = {
        unicodedata.name(one, "UNKNOWN").split()[0]
        for one in text
        if unicodedata.category(one)[0] in "LM"
    }
    return {_SCRIPTS.get(script, script) for script in found} - {"COMBINING"}


def _distinct(texts: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text.strip()))
