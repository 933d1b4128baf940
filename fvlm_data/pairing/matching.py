"""Which reports speak of which studies, as the tables say now."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.linking import read_joins
from fvlm_data.pairing.anatomy_text import StudyText
from fvlm_data.reports.versions.original_reports import reading_order

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fvlm_data.linking import Joined
    from fvlm_data.store.stage import Context
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Matches:
    """Reports of each study as (report id, kind of link), and reports in conflict."""

    by_study: Mapping[str, list[tuple[str, str]]]
    conflicts: Mapping[str, tuple[str, str]]


def match_all(context: Context, vocabulary: Vocabulary) -> Matches:
    """All reports in the tables with their studies."""
    reports = set(context.store.read("reports", ["report_id"])["report_id"].to_pylist())
    return _matches(context, vocabulary, read_joins(context.store), reports)


def match_items(context: Context, vocabulary: Vocabulary, items: Collection[str]) -> Matches:
    """As `match_all`, for the given studies and reports, reading only what they need.

    Studies of other reports than those that may speak of `items` are not complete.
    """
    store = context.store
    candidates = _reports_near(store, items)
    rows = store.read_items("reports", "report_id", candidates, ["report_id"])
    reports = {row["report_id"] for row in rows}
    return _matches(context, vocabulary, read_joins(store, reports), reports)


def _reports_near(store: Store, items: Collection[str]) -> set[str]:
    """The reports among `items`, and all that share an external key with a study among them."""
    rows = store.read_items("volumes", "study_id", items, ["series_id"])
    owners = {*items, *(row["series_id"] for row in rows)}
    own = store.read_items("links", "owner_id", owners, ["owner_kind", "owner_id", "value_hash"])
    hashes = {link["value_hash"] for link in own if link["owner_kind"] != "report"}
    near = store.read_items("links", "value_hash", hashes, ["owner_kind", "owner_id"])
    return {link["owner_id"] for link in (*own, *near) if link["owner_kind"] == "report"}


def _matches(
    context: Context, vocabulary: Vocabulary, joins: Mapping[str, Joined], reports: set[str]
) -> Matches:
    """Addenda last, else by the time of the report."""
    by_study: dict[str, list[tuple[str, str]]] = defaultdict(list)
    conflicts: dict[str, tuple[str, str]] = {}
    for report, joined in joins.items():
        if report not in reports:
            continue
        if joined.conflict is not None:
            conflicts[report] = joined.conflict
        elif joined.ambiguous is not None:
            conflicts[report] = (joined.ambiguous, joined.ambiguous)
        for study, kind in joined.studies.items():
            by_study[study].append((report, kind))
    several = {r for matches in by_study.values() if len(matches) > 1 for r, _ in matches}
    order = reading_order(context.vault, several, vocabulary)
    for matches in by_study.values():
        matches.sort(key=lambda match: order.get(match[0], (False, "", 0, match[0])))
    return Matches(dict(by_study), conflicts)


def read_texts(store: Store, reports_of: Mapping[str, Sequence[str]]) -> dict[str, StudyText]:
    """Sentences and findings of the reports of each study, reports in the order given."""
    wanted = {report for reports in reports_of.values() for report in reports}
    sentences = _by_report(store, "sentences", wanted, "sentence")
    findings = _by_report(store, "findings", wanted, "start")
    return {
        study: StudyText(
            [row for report in reports for row in sentences[report]],
            [row for report in reports for row in findings[report]],
        )
        for study, reports in reports_of.items()
    }


def _by_report(
    store: Store, table: str, reports: set[str], order: str
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {report: [] for report in reports}
    for row in store.read_items(table, "report_id", reports):
        found[row["report_id"]].append(row)
    for rows in found.values():
        rows.sort(key=lambda row: row[order])
    return found
