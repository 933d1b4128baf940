"""Sentences and findings of many studies, and the two rules of the normal to read them by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.pairing.anatomy_text import StudyText

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.tables import Store

STUDIES_AT_ONCE = 10_000
"""Studies in memory together: each part takes a pass over the tables of reports."""


def study_texts(
    store: Store, studies: Collection[str] | None = None
) -> Iterator[tuple[str, StudyText]]:
    """What the reports of the given studies say, or of all that have one, in order of ids."""
    rows = (
        store.read("study_reports").to_pylist()
        if studies is None
        else store.read_items("study_reports", "study_id", studies)
    )
    reports: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: (str(row["study_id"]), row["order"])):
        reports.setdefault(row["study_id"], []).append(row["report_id"])
    named = list(reports)
    for start in range(0, len(named), STUDIES_AT_ONCE):
        part = named[start : start + STUDIES_AT_ONCE]
        yield from _read_texts(store, {study: reports[study] for study in part})


def _read_texts(
    store: Store, reports_of: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, StudyText]]:
    """Sentences and findings of the reports of each study, reports in the order given."""
    wanted = {report for reports in reports_of.values() for report in reports}
    sentences = _by_report(store, "sentences", wanted, "sentence")
    findings = _by_report(store, "findings", wanted, "start")
    for study, reports in reports_of.items():
        yield (
            study,
            StudyText(
                [row for report in reports for row in sentences[report]],
                [row for report in reports for row in findings[report]],
            ),
        )


def _by_report(
    store: Store, table: str, reports: set[str], order: str
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {report: [] for report in reports}
    for row in store.read_items(table, "report_id", reports):
        found[row["report_id"]].append(row)
    for rows in found.values():
        rows.sort(key=lambda row: row[order])
    return found


def both_rules(config: PairConfig) -> tuple[PairConfig, PairConfig]:
    """The settings with our rule of the normal, and with the public code's."""
    stated, reference = (
        config.model_copy(update={"normal": rule}) for rule in ("stated", "reference")
    )
    return stated, reference
