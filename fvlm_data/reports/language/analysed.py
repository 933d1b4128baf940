"""What is read of a sentence: its heads, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fvlm_data.reports.language.decisions import Doubt, Rule
    from fvlm_data.reports.language.measured_heads import Measured
    from fvlm_data.reports.language.records import Change, Severity, Side, Status


@dataclass(slots=True, eq=False)
class Head:
    """A finding, an observation or a verdict, in tokens [start, end) of a sentence.

    `findings` (id, anatomy, side) are those named outright or by observation and site. `sites`
    are what it is about, none where only context can tell; `observation` are its words for that
    look-up.
    """

    start: int
    end: int
    kind: str
    status: Status
    findings: tuple[tuple[str, str, Side | None], ...]
    sites: tuple[str, ...]
    observation: str
    side: Side | None
    severity: Severity | None
    count: str | None
    location: tuple[int, int] | None
    """Tokens that say where it lies."""
    change: Change | None
    abnormal: bool
    """Whether it is an abnormality even where no finding covers it."""
    elsewhere: bool
    """Whether what tells a side tells it of something else: denied, with a side that comes after
    ("none except on the left"), or what goes with something of a side ("nodule with emphysema").
    """
    rule: Rule
    cue: tuple[int, int] | None
    """Tokens of the cue that told the status."""
    doubts: tuple[Doubt, ...]
    kind_of: frozenset[str] = frozenset()
    """Findings of which it names one kind only: denied, it says nothing of them."""


@dataclass(slots=True, eq=False)  # not frozen, which would make it three times as slow to build
class SentenceAnalysis:
    """What the words of a sentence say by themselves; equal only to itself, so quick to look up.

    `clauses` are the clause numbers of its tokens, `measured` tokens [start, end) of the heads
    that may have a size.
    """

    heads: tuple[Head, ...]
    sites: tuple[str, ...]
    anatomies: tuple[str, ...]
    side: Side | None
    carries: bool
    named: bool = False
    """Whether its sites are where its findings lie, since it mentions no anatomy."""
    clauses: tuple[int, ...] = ()
    measured: tuple[tuple[int, int], ...] = ()
    organs: tuple[int, ...] = ()
    """Where organs end of which no head tells, and behind which their own size may stand."""
    refers: bool = False
    """Whether a side of it is told by what was said before."""


@dataclass(slots=True)
class PhrasePlace:
    """Where a head stands in the characters of a sentence, and the sizes stated of it."""

    start: int
    end: int
    location: tuple[int, int] | None
    size: Measured
    cue: tuple[int, int] | None = None


@dataclass(slots=True)
class Analysis:
    """The reading of a sentence, with the place of each of its heads.

    `language` is that of a sentence which is not read, none for the vocabulary's own.
    """

    reading: SentenceAnalysis
    places: tuple[PhrasePlace, ...]
    language: str | None = None
