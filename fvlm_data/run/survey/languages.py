"""The languages that reports are in, and which of those that are built in reads most of them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from fvlm_data.reports.language.foreign import languages
from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.folders import languages as built_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT = "en"
_WORD = re.compile(r"[^\W\d_]+")


def languages_of(texts: Iterable[str]) -> Counter[str]:
    """How many of some reports are in each language, by its code; `und` where it cannot be told."""
    listed = list(texts)
    if not listed:  # a vocabulary takes a while to load
        return Counter()
    known = languages(Vocabulary.load(DEFAULT))
    return Counter(known.other_than_own(text, _WORD.findall(text)) or DEFAULT for text in listed)


def language_to_read(found: Mapping[str, int]) -> str:
    """The built-in language of most reports; the default where none of theirs is built in."""
    known = [code for code in built_in() if found.get(code)]
    return max(known, key=lambda code: (found[code], code == DEFAULT), default=DEFAULT)


def notes_on_languages(found: Mapping[str, int]) -> list[str]:
    """What a person should know of reports that the language which is written does not cover."""
    read = language_to_read(found)
    others = {code: count for code, count in sorted(found.items()) if code != read}
    if not others:
        return []
    looked, told = sum(found.values()), []
    for code, count in others.items():
        remedy = (
            f"a store of its own, with vocabulary.language {code}, reads them"
            if code in built_in()
            else "docs/vocabulary.md tells how a language is added"
        )
        told.append(
            f"reports: of {looked} that were looked at {count} in language {code}, not in {read}: "
            f"set aside as language_not_covered; {remedy}"
        )
    return told
