"""A report as a backend reads it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fvlm_data.reports.language.parsed import ParsedReport


@dataclass(frozen=True, slots=True)
class ReportReading:
    """The parsed report, with what a model said that no report bears out, by reason.

    `files` are answers to keep in the store, by path.
    """

    parsed: ParsedReport
    refused: Counter[str] = field(default_factory=Counter)
    files: dict[str, bytes] = field(default_factory=dict)
