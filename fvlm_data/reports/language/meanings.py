"""What a phrase of the vocabulary means: of which kind it is, and what a cue asserts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "anatomy",
    "side",
    "generic",
    "compound",
    "finding",
    "observation",
    "normal",
    "abnormal",
    "neutral",
    "severity",
    "change",
    "count",
    "terminator",
]


@dataclass(frozen=True, slots=True, order=True)
class Meaning:
    """One meaning of a phrase.

    `value` is an id (anatomy part, finding, side, severity);
    an observation goes by the words of its phrase.
    """

    kind: Kind
    value: str
    side: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Cue:
    """A ConText rule with what our scopes add to it (fields as in cues.yaml)."""

    category: str
    direction: str
    at_end: bool = False
    at_start: bool = False
    reach: int = 0
    local: bool = False
    across: bool = False
    overrules: bool = False
    unless: tuple[str, ...] = ()
    turns: bool = False
    without_company: bool = False
    of_lasting: bool = False
    unless_behind: tuple[str, ...] = ()
