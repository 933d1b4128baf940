"""Sentences of a template whose blanks nobody has filled.

"There is a [ ] mm nodule in the *** lobe" says nothing of the patient, neither that there is a
nodule nor that there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.vocabulary.phrases import expand
from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.vocabulary import Vocabulary

_GAP = re.compile(
    r"(?<![\w*])(?:\*{3,}|_{2,})(?![\w*])|\[[ _.\u2026]{0,20}\]|\{[ _.]{0,20}\}|<[ _.]{1,20}>"
)
_GAP_MARKS = ("[", "{", "<", "***", "__")
"""One of them stands in each gap; to look for them costs a twentieth."""
_NUMBER = re.compile(r"\[([ ]?\d{1,3}(?:[.,]\d{1,2})?[ ]?)\]")
_BOX = re.compile(r"\[ ?\]")
_BREAK = re.compile(r"[.;!?](?=\s)|\n")
_LETTER = re.compile(r"[^\W_]")
_LONGEST = 400
"""Characters of a sentence on either side of a blank."""


@dataclass(frozen=True, slots=True)
class Blanks:
    """What stands before and behind a blank, where it might be a box to tick as well."""

    before: re.Pattern[str]
    behind: re.Pattern[str]


@lru_cache(maxsize=4)
def blanks(vocabulary: Vocabulary) -> Blanks:
    """The patterns of a vocabulary, made once."""
    words, sizes = vocabulary.grammar, vocabulary.grammar.sizes
    before = {
        *words.clauses.articles, *words.clauses.indefinite, *words.sentences.line_joins,
        *vocabulary.cues.prepositions,
    }  # fmt: skip
    units = [unit for one in (*sizes.mm, *sizes.cm) for unit in expand(one)]
    return Blanks(
        re.compile(rf"\b(?:{wording(sorted(before))})[ \t]*\Z", re.IGNORECASE),
        re.compile(rf"[ \t]*(?:{wording(units)})", re.IGNORECASE),
    )


def filled_only(text: str, known: Blanks) -> str:
    """The text with sentences that hold a blank written over, as long as it was.

    A number in the brackets of a blank loses them: "a [5] mm nodule".
    """
    if "[" in text:
        text = _NUMBER.sub(r" \1 ", text)
    spans = list(unfilled(text, known))
    if not spans:
        return text
    made = list(text)
    for start, end in spans:
        made[start:end] = [
            "_" if letter in "[]{}<>*" or _LETTER.match(letter) else letter
            for letter in made[start:end]
        ]
    return "".join(made)


def unfilled(text: str, known: Blanks) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence that holds a blank and words beside."""
    if not any(map(text.__contains__, _GAP_MARKS)):
        return
    done = 0
    for gap in _GAP.finditer(text):
        if gap.start() < done:
            continue
        start = max(done, _begin(text, gap.start()))
        end = _end(text, gap.end())
        lead, rest = text[start : gap.start()], text[gap.end() : end]
        if gap[0][0] in "*_" and _is_frame(text, gap):
            continue
        if lead.rstrip().endswith(":") and not _LETTER.search(rest):
            continue  # a field that nobody has filled tells nothing anyhow
        if not _LETTER.search(lead) and not _LETTER.search(rest):
            continue
        if _BOX.fullmatch(gap[0]) and not (known.before.search(lead) or known.behind.match(rest)):
            continue
        yield start, end
        done = end


def _is_frame(text: str, gap: re.Match[str]) -> bool:
    """Whether marks stand around a title: "*** FINDINGS ***"."""
    start = text.rfind("\n", 0, gap.start()) + 1
    stop = text.find("\n", gap.end())
    line = text[start : stop if stop >= 0 else len(text)].strip()
    return line[0] == line[-1] == gap[0][0]


def _begin(text: str, place: int) -> int:
    low = max(0, place - _LONGEST)
    ends = [found.end() for found in _BREAK.finditer(text, low, place)]
    return ends[-1] if ends else low


def _end(text: str, place: int) -> int:
    found = _BREAK.search(text, place, place + _LONGEST)
    return found.start() if found else min(len(text), place + _LONGEST)
