"""A parsed report, with what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.reports.language import reconcile
from fvlm_data.reports.language.shown import Marked, as_html, print_marked

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

    def labels(self, name: str) -> dict[str, int]:
        """Labels of a public set (ct_rate, merlin, rad_chest_ct): 1, 0, or its not mentioned.

        Raises:
            ConfigError: no set has that name.
        """
        return reconcile.labels(self, name)

    def ct_rate_labels(self) -> dict[str, int]:
        """CT-RATE's 18 labels by column name: 1 where stated or held possible, else 0."""
        return reconcile.ct_rate_labels(self)

    def show(self) -> None:
        """Print the sentences, mentions coloured by what is asserted."""
        print_marked(*self._marked())

    def _marked(self) -> tuple[str, list[Marked]]:
        """The sentences as a text, one a line, and its mentions."""
        lines, moved, length = [], [], 0
        for one in self.sentences:
            lines.append(one.text)
            moved.append(length - one.start)
            length += len(one.text) + 1
        marks = [
            Marked(
                m.start + moved[m.sentence],
                m.end + moved[m.sentence],
                m.finding,
                m.anatomy,
                m.status,
                m.laterality,
                m.size_mm,
            )
            for m in self.findings
        ]
        return "\n".join(lines), marks

    def _repr_html_(self) -> str:
        """The sentences with mentions coloured, as a notebook shows them."""
        return as_html(*self._marked())
