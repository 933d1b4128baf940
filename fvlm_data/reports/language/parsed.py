"""A parsed report, with what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.reports.language import reconcile

if TYPE_CHECKING:
    from fvlm_data.reports.language.records import (
        AnatomyState,
        Contradiction,
        FindingMention,
        Header,
        Section,
        Sentence,
        Verdict,
    )
    from fvlm_data.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """A report taken apart. The text itself stays with the caller.

    `vocabulary` is that of the parser that made it, `uncertain_counts` its
    ParseConfig.uncertain_is_abnormal.
    """

    headers: tuple[Header, ...]
    sections: tuple[Section, ...]
    sentences: tuple[Sentence, ...]
    findings: tuple[FindingMention, ...]
    normal: tuple[Verdict, ...]
    vocabulary: Vocabulary = field(repr=False)
    uncertain_counts: bool = True

    def anatomy_states(self) -> dict[str, AnatomyState]:
        """State of every anatomy of the vocabulary, by id."""
        return reconcile.anatomy_states(self)

    def contradictions(self) -> list[Contradiction]:
        """Pairs of sentences that contradict each other, for review."""
        return reconcile.contradictions(self)

    def ct_rate_labels(self) -> dict[str, int]:
        """CT-RATE's 18 labels by column name: 1 where stated or held possible, else 0."""
        return reconcile.ct_rate_labels(self)
