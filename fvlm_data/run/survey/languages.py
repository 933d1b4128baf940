"""The languages that reports are in, and which of those are built in."""

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


def languages_to_read(found: Mapping[str, int]) -> tuple[str, ...]:
    """The built-in languages of the reports, that of most first; the default if there is none."""
    known = [code for code in built_in() if found.get(code)]
    ordered = sorted(known, key=lambda code: (-found[code], code != DEFAULT, code))
    return tuple(ordered) or (DEFAULT,)


def notes_on_languages(found: Mapping[str, int]) -> list[str]:
    """What a person should know of reports in languages that are not built in."""
    looked = sum(found.values())
    return [
        f"reports: of {looked} that were looked at {count} in language {code}: set aside as "
        "language_not_covered; docs/vocabulary.md tells how a language is added"
        for code, count in sorted(found.items())
        if code not in built_in()
    ]
