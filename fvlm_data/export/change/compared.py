"""The label of change from what two studies say, and why there may be none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.export.change.said import WORDS
from fvlm_data.reports.language.sizes import change_of_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.export.change.said import Said


@dataclass(frozen=True, slots=True)
class Change:
    """Labels by source, the one that holds and what tells it, what speaks against it."""

    by_words: str | None
    by_sizes: str | None
    by_presence: str | None
    label: str | None
    stated_by: str | None
    conflicts: tuple[str, ...]
    remarks: tuple[str, ...]


def compared(prior: Said, current: Said, *, adjacent: bool, one_report: bool) -> Change:
    """What became of a finding: by words, else by sizes, else by presence; none where they differ.

    Words and the earlier sizes of a report are of the examination before it: where another study
    lies between (not `adjacent`), the label is not taken from them. `one_report`: a report is of
    both studies, so that it tells nothing of a change between them.
    """
    words = current.words if adjacent else frozenset()
    own = current.sizes if adjacent else frozenset()
    by_words = _only(words)
    by_sizes = _only(own) if own else _across(prior, current)
    by_presence = _presence(prior.state, current.state)
    conflicts = [
        *(["words_differ"] if len(words) > 1 else []),
        *(["sizes_differ"] if len(own) > 1 else []),
        *(["word_against_sizes"] if by_words and by_sizes not in (None, by_words) else []),
        *(["word_against_presence"] if any(_denied(w, prior, current) for w in words) else []),
        *(["sizes_against_presence"] if by_sizes and by_presence else []),
        *(["one_report_of_both"] if one_report else []),
    ]
    told = {"words": by_words, "sizes": by_sizes, "presence": by_presence}
    first = None if conflicts else next((name for name, one in told.items() if one), None)
    return Change(
        _only(current.words),
        by_sizes,
        by_presence,
        told[first] if first else None,
        first,
        tuple(sorted(conflicts)),
        tuple(sorted(_remarks(prior, current))),
    )


def _only(labels: frozenset[str]) -> str | None:
    return next(iter(labels)) if len(labels) == 1 else None


def _across(prior: Said, current: Said) -> str | None:
    """Sizes of two reports tell a change where each gives one size: else which is which?"""
    if prior.state != "present" or current.state != "present":
        return None
    if not prior.sizes_mm or not current.sizes_mm or _several(prior) or _several(current):
        return None
    change = change_of_sizes(max(current.sizes_mm), max(prior.sizes_mm))
    return WORDS[change] if change else None


def _presence(prior: str, current: str) -> str | None:
    return {("absent", "present"): "new", ("present", "absent"): "resolved"}.get((prior, current))


def _denied(word: str, prior: Said, current: Said) -> bool:
    """Whether the states rule out what a word says."""
    if word == "new":
        return prior.state == "present"
    return prior.state == "absent" or (word == "resolved" and current.state == "present")


def _several(one: Said) -> bool:
    return _differ(one.sizes_mm)


def _differ(sizes_mm: Sequence[float]) -> bool:
    """Whether sizes are of more than one thing, by what the measuring may differ."""
    return len(sizes_mm) > 0 and change_of_sizes(max(sizes_mm), min(sizes_mm)) == "increased"


def _remarks(prior: Said, current: Said) -> Iterator[str]:
    if _several(prior) or _several(current):
        yield "several_sizes"
    stated, measured = current.prior_size_mm, prior.size_mm
    if stated is not None and measured is not None and _differ((stated, measured)):
        yield "prior_sizes_differ"
