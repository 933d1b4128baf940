"""Where the scope of a cue ends within its clause: at company, aftermath, conclusions, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.function_words import FunctionWords


def up_to_company(
    start: int,
    high: int,
    words: Sequence[str],
    company: frozenset[str],
    supposed: frozenset[str],
) -> int:
    """End of what is held possible or is gone: in "suspected cirrhosis with ascites" it is seen."""
    for i in range(start, high):
        if words[i] in company and words[i - 1] not in supposed:
            return i
    return high


def up_to_aftermath(start: int, high: int, words: Sequence[str], grammar: FunctionWords) -> int:
    """End of a denial: "no pneumothorax after biopsy of the mass" denies no mass."""
    if grammar.aftermath.isdisjoint(words[start + 1 : high]):
        return high
    return next(i for i in range(start + 1, high) if words[i] in grammar.aftermath)


def up_to_conclusion(start: int, high: int, words: Sequence[str], grammar: FunctionWords) -> int:
    """End of a denial: "without a nodule, suggesting hyperplasia" denies no hyperplasia."""
    for i in range(start, high):
        if words[i] == "," and any(
            tuple(words[i + 1 : i + 1 + len(one)]) == one for one in grammar.conclusions
        ):
            return i
    return high


def up_to_colon(start: int, high: int, words: Sequence[str], grammar: FunctionWords) -> int:
    """End of a denial: "no pneumonia: the opacity is a scar" tells what there is instead."""
    for i in range(start + 1, high - 1):
        if words[i] == ":" and words[i + 1] in grammar.articles | grammar.indefinite:
            return i
    return high


def up_to_answer(start: int, high: int, words: Sequence[str], grammar: FunctionWords) -> int:
    """End of a question: "CT for acute abdomen: free air", but not "evaluate for: free air"."""
    for i in range(start + 1, high):
        if words[i] == ":" and words[i - 1] not in grammar.articles:
            return i
    return high


def behind_answer(low: int, start: int, words: Sequence[str], grammar: FunctionWords) -> int:
    """Start of what an answer denies: "varices esophageal yes gastric no" denies the latter."""
    if words[start] not in grammar.denying_answers:
        return low
    for i in range(start - 1, low - 1, -1):
        if words[i] in grammar.affirming_answers:
            return i + 1
    return low


def up_to_known(start: int, high: int, words: Sequence[str], grammar: FunctionWords) -> int:
    """End of a denial: "no complication of the known hernia" denies no hernia."""
    for i in range(start + 2, high):
        if words[i] in grammar.known:
            before = words[i - 2] if words[i - 1] in grammar.articles else words[i - 1]
            if before in grammar.before_known:
                return i
    return high
