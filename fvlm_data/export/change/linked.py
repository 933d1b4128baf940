"""Which earlier study each study of a patient is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

SAME_DAY = "same_day_studies"
"""One of the two has another study of its day beside it: which is the prior one is not known."""
UNDATED = "undated_study"
"""The patient has a study without date, which may lie between the two."""


@dataclass(frozen=True, slots=True)
class StudyPair:
    """An earlier and a current study; `between` counts the studies of days between them."""

    prior: str
    current: str
    days: int
    between: int
    remarks: tuple[str, ...]


def study_pairs(
    date_of: Mapping[str, str | None], reported: Collection[str]
) -> Iterator[StudyPair]:
    """Pairs of one patient's studies, in order of the current one's date and both ids.

    `date_of` gives the shifted date (YYYY-MM-DD) by study. Each study with a report is paired with
    those of the last day before its own; where none of these has a report, also with those that
    have one of the last day that has any. Studies of one day have no order and are not paired,
    nor are those without a date.
    """
    dated = sorted((told, study) for study, told in date_of.items() if told)
    days = [[study for _, study in one] for _, one in groupby(dated, key=lambda pair: pair[0])]
    undated = (UNDATED,) if len(dated) < len(date_of) else ()
    for place in range(1, len(days)):
        for current in days[place]:
            if current not in reported:
                continue
            for at, prior in _priors(days[:place], reported):
                beside = (SAME_DAY,) if len(days[at]) + len(days[place]) > 2 else ()
                yield StudyPair(
                    prior,
                    current,
                    _days(date_of[prior], date_of[current]),
                    sum(len(one) for one in days[at + 1 : place]),
                    tuple(sorted((*beside, *undated))),
                )


def _priors(
    before: Sequence[Sequence[str]], reported: Collection[str]
) -> Iterator[tuple[int, str]]:
    """Earlier studies with the place of their day."""
    last = len(before) - 1
    yield from ((last, study) for study in before[last])
    if not any(study in reported for study in before[last]):
        for at in range(last - 1, -1, -1):
            told = [study for study in before[at] if study in reported]
            yield from ((at, study) for study in told)
            if told:
                break


def _days(prior: str | None, current: str | None) -> int:
    return (date.fromisoformat(current or "") - date.fromisoformat(prior or "")).days
