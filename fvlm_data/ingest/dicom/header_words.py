"""The allow-list of header texts: which of their words tables may hold."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

WORD = re.compile(r"[a-z_]+[+-]?(?![a-z])|\d+(?:[.,]\d+)?(?:\s?(?:mm|kv|kvp|s|%))(?![a-z\d])")
"""A word, or a number with its unit: a bare number may be an id, an age or a date."""

LONGEST_NUMBER = 5


@dataclass(frozen=True, slots=True)
class HeaderWords:
    """The lists of header_words.yaml, in lower case and without accents, except kernels."""

    body_parts: frozenset[str]
    manufacturers: tuple[tuple[str, str], ...]
    kernels: tuple[tuple[str, re.Pattern[str]], ...]
    no_contrast: frozenset[str]
    phases: tuple[tuple[str, tuple[str, ...]], ...]
    words: frozenset[str]


@cache
def header_words() -> HeaderWords:
    """The lists, read once."""
    text = files("fvlm_data.ingest.dicom").joinpath("header_words.yaml").read_text(encoding="utf-8")
    told: dict[str, Any] = yaml.safe_load(text)
    return HeaderWords(
        body_parts=frozenset(told["body_parts"]),
        manufacturers=tuple(told["manufacturers"].items()),
        kernels=tuple(
            (kind, re.compile("|".join(f"(?:{pattern})" for pattern in patterns)))
            for kind, patterns in told["kernels"].items()
        ),
        no_contrast=frozenset(told["contrast"]["none_given"]),
        phases=tuple((phase, tuple(marks)) for phase, marks in told["phases"]),
        words=frozenset(told["words"]),
    )


def allowed_words(texts: Iterable[str], names: Iterable[str] = ()) -> str | None:
    """The words of free texts that the allow-list knows, in lower case, in order, each once.

    Of numbers only those with a unit (mm, kV, s, %) stay; any other may be an id or an age. A
    word that is part of one of the header's own `names` goes too: Mr Kopf has a CT of the head.
    """
    known = header_words().words - {word for name in names for word in WORD.findall(plain(name))}
    kept = dict.fromkeys(
        word.replace(" ", "").replace(",", ".")
        for text in texts
        for word in WORD.findall(plain(text))
        if word in known or (word[0].isdecimal() and len(word) <= LONGEST_NUMBER + 2)
    )
    return " ".join(kept) or None


def body_part(text: str) -> str | None:
    """BodyPartExamined in upper case, where it is a known term."""
    value = plain(text).replace(" ", "")
    return value.upper() if value in header_words().body_parts else None


def manufacturer(text: str) -> str | None:
    """The usual name of a known manufacturer."""
    value = plain(text)
    if value == "ge":
        return "GE"
    return next((name for part, name in header_words().manufacturers if part in value), None)


def kernel(values: Iterable[str]) -> str | None:
    """The first of a header's kernel values that is a known form of kernel token."""
    return next((value for value in values if kernel_kind(value)), None)


def kernel_kind(value: str | None) -> str | None:
    """`soft` or `sharp`, or None where the kernel is not known."""
    kernels = header_words().kernels
    return next((kind for kind, form in kernels if value and form.fullmatch(value)), None)


def contrast(agent: str, descriptions: Iterable[str]) -> str | None:
    """Contrast phase by the header: `no`, a phase, `yes` (phase not stated), or None (unknown).

    ContrastBolusAgent decides whether there was contrast medium; the phase comes from the
    descriptions.
    """
    agent_words = plain(agent).strip()
    told = next(filter(None, map(_phase, descriptions)), None)
    if agent_words:
        if agent_words in header_words().no_contrast:
            return "no"
        return "yes" if told in (None, "unenhanced", "enhanced") else told
    return {"unenhanced": "no", "enhanced": "yes"}.get(told, told) if told else None


def plain(text: str) -> str:
    """Lower case without accents."""
    apart = unicodedata.normalize("NFKD", text).casefold()
    return "".join(character for character in apart if not unicodedata.combining(character))


def _phase(description: str) -> str | None:
    # w/o first, which begins like w/
    told = plain(description).replace("w/o", "without").replace("w/", "with ")
    words = f" {' '.join(re.findall(r'[a-z]+[+-]?(?![a-z])', told))} "
    for phase, marks in header_words().phases:
        if any(f" {mark} " in words for mark in marks):
            return phase
    return None
