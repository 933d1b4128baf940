"""One report of a store as it was read: sentences, findings, and the text in colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.language.notebook import shown_in_notebook
from fvlm_data.reports.language.shown import Marked, as_html, print_marked

if TYPE_CHECKING:
    from fvlm_data.store.relations import Relations

FINDINGS = """
SELECT finding, anatomy, status, laterality, severity, size_mm, prior_size_mm, change, sentence,
    start, "end", confidence
FROM findings WHERE report_id = $report ORDER BY start, "end", finding, anatomy
"""
SENTENCES = """
SELECT sentence, start, "end", section, text, anatomies FROM sentences
WHERE report_id = $report ORDER BY sentence
"""
OF_FINDING = (
    "finding", "anatomy", "status", "laterality", "severity", "size_mm", "prior_size_mm", "change",
    "sentence", "start", "end", "confidence",
)  # fmt: skip
OF_SENTENCE = ("sentence", "start", "end", "section", "text", "anatomies")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class StoredReport:
    """A report without identities; `text` is what sentences and findings count characters in."""

    _relations: Relations
    report_id: str
    text: str

    @property
    def sentences(self) -> list[dict[str, Any]]:
        """Its sentences in order: number, place in the text, section, text, anatomies."""
        return self._rows(SENTENCES, OF_SENTENCE)

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Its mentions of findings in order of the text, with status, side and size in mm."""
        return self._rows(FINDINGS, OF_FINDING)

    def show(self) -> None:
        """Show the text, mentions coloured by status: printed, or in the cell of a notebook."""
        if shown_in_notebook(self._repr_html_):
            return
        print_marked(self.text, self._marked())

    def _marked(self) -> list[Marked]:
        return [
            Marked(
                one["start"], one["end"], one["finding"], one["anatomy"], one["status"],
                one["laterality"], one["size_mm"],
            )
            for one in self.findings
        ]  # fmt: skip

    def _rows(self, query: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
        found = self._relations.newest_rows(query, {"report": self.report_id})
        return [dict(zip(names, row, strict=True)) for row in found]

    def __repr__(self) -> str:
        """Its id and length."""
        return f"<report {self.report_id}: {len(self.text)} characters>"

    def _repr_html_(self) -> str:
        """The text with mentions coloured, as a notebook shows it."""
        return as_html(self.text, self._marked())
