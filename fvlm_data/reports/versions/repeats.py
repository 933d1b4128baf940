"""Whether a report says again what another one found."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.language.sections import opening_section, section_headers, sections_of
from fvlm_data.reports.language.sentences import sentence_ends, sentence_spans

if TYPE_CHECKING:
    from fvlm_data.vocabulary import Vocabulary

_FOUND = frozenset({"findings", "impression"})
_LONGEST = 1000
_WORDS = 3
"""Words of a sentence that is no mere title or verdict ("Normal.")."""
_LEAST = 3
_SHARE = 0.5
"""Sentences of the earlier report that must stand in the later one: number, and share of all.

Two parts of one examination (chest and abdomen) have few sentences in common; a version that is
read over once more keeps most of them.
"""


def repeats(later: str, earlier: str, vocabulary: Vocabulary) -> bool:
    """Whether most of an earlier report's findings and impression stand in a later one too."""
    before = _sentences(earlier, vocabulary)
    again = before & _sentences(later, vocabulary)
    return len(again) >= _LEAST and len(again) >= _SHARE * len(before)


@lru_cache(maxsize=256)
def _sentences(text: str, vocabulary: Vocabulary) -> frozenset[str]:
    """Sentences of findings and impression in lower case, without blanks and marks."""
    made = set()
    ends = sentence_ends(vocabulary)
    headers = section_headers(vocabulary).find(text)
    for section in sections_of(text, headers, opening_section(headers)):
        if section.name in _FOUND:
            spans = sentence_spans(text, section.start, section.end, _LONGEST, ends)
            for start, end in spans:
                words = re.findall(r"\w+", text[start:end].lower())
                if len(words) >= _WORDS:
                    made.add(" ".join(words))
    return frozenset(made)
