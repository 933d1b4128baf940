"""What was found in the words of one sentence, as its heads are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrase_matching import Match
    from fvlm_data.reports.language.records import Side


@dataclass(slots=True)
class Found:
    """Words and what they are, each in order; places are tokens."""

    words: tuple[str, ...]
    clauses: tuple[int, ...]
    roles: tuple[int, ...]
    mentions: tuple[AnatomyMention, ...]
    spans: tuple[HeadSpan, ...]
    sides: tuple[tuple[int, int, Side], ...]
    severities: tuple[Match, ...]
    changes: tuple[Match, ...]
    counts: tuple[Match, ...]
    runs_on: bool
    """Whether a statement begins in it without any mark."""
    refers: bool
    """Whether a side of it is that of something told before ("contralateral")."""
