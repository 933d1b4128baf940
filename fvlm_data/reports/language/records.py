"""What a parsed report is made of. All offsets are characters of the report's text.

Of what a report has by the dozen these are tuples, which cost a third of a frozen dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from fvlm_data.reports.language.decisions import STATED, Decision

SectionName = Literal[
    "findings", "impression", "technique", "clinical_information", "comparison", "other"
]
Status = Literal["present", "absent", "uncertain", "historical", "hypothetical", "family"]
State = Literal["abnormal", "normal_stated", "not_mentioned"]
Laterality = Literal["left", "right", "bilateral"]
Side = Literal["left", "right", "bilateral", "same", "opposite"]
"""A side as words tell it: the last two are those of what was told before."""
Severity = Literal["mild", "moderate", "severe"]
Change = Literal["new", "increased", "decreased", "stable", "resolved"]

ASSERTING_SECTIONS: frozenset[str] = frozenset({"findings", "impression", "other"})
"""Sections whose sentences tell what this examination shows; the others ask or look back."""


@dataclass(frozen=True, slots=True)
class Header:
    """A section header or a sub-header (`LUNGS:`), which belongs to no sentence.

    `section` is the name of the section that a section header opens, none for a sub-header;
    `anatomies` are those that a sub-header names.
    """

    start: int
    end: int
    section: SectionName | None
    anatomies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """The content of a section, its header left out."""

    name: SectionName
    start: int
    end: int


class Sentence(NamedTuple):
    """One sentence: `text == report_text[start:end]`; `anatomies` are sorted ids.

    `language` is the code of a language that the vocabulary does not cover: the sentence is not
    read.
    """

    text: str
    start: int
    end: int
    section: SectionName
    anatomies: tuple[str, ...]
    language: str | None = None


class FindingMention(NamedTuple):
    """One mention of a finding; `sentence` is an index into `ParsedReport.sentences`.

    `count` is a stated number or few, multiple; `location` the words that say where it lies;
    `size_mm` the size of today, `prior_size_mm` that of an earlier examination; `decided` tells
    what its status rests on.
    """

    finding: str
    anatomy: str
    status: Status
    laterality: Laterality | None
    sentence: int
    start: int
    end: int
    severity: Severity | None = None
    size_mm: float | None = None
    count: str | None = None  # type: ignore[assignment]  # and no method of a tuple
    location: str | None = None
    change: Change | None = None
    prior_size_mm: float | None = None
    decided: Decision = STATED


class Verdict(NamedTuple):
    """A sentence that calls an anatomy normal, or denies that anything is wrong with it."""

    anatomy: str
    sentence: int


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two sentences that cannot both hold; `finding` is none where one calls the anatomy normal."""

    anatomy: str
    finding: str | None
    denied_in: int
    stated_in: int


@dataclass(frozen=True, slots=True)
class AnatomyState:
    """What findings and impression together say of one anatomy.

    `findings` are its mentions in asserting sections, `sentences` indices of the sentences that
    speak of it, in order.
    """

    state: State
    findings: tuple[FindingMention, ...] = ()
    sentences: tuple[int, ...] = ()
