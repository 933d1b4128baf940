"""Reports: sections, sentences, anatomies, assertions and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.reports.config import ParseConfig
from fvlm_data.reports.language.parsed import ParsedReport
from fvlm_data.reports.language.records import (
    AnatomyState,
    Contradiction,
    FindingMention,
    Header,
    Section,
    Sentence,
)

if TYPE_CHECKING:
    from fvlm_data.reports.language.parser import ReportParser

__all__ = [
    "AnatomyState",
    "Contradiction",
    "FindingMention",
    "Header",
    "ParseConfig",
    "ParsedReport",
    "ReportParser",
    "Section",
    "Sentence",
]


def __getattr__(name: str) -> Any:
    if name == "ReportParser":
        from fvlm_data.reports.language.parser import ReportParser

        return ReportParser
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
