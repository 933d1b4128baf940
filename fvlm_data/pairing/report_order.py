"""In which order a study's reports are read, and which of them may be versions of one another."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.versions.corrections import agree, of_one_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.store.declared import Row

ORDER_COLUMNS = ("report_id", "issued", "addendum", "procedure_hash")
"""Columns of `reports` that decide here; `file_row` decides only between equal ones."""


def reading_order(report: Row) -> tuple[bool, str, int, str]:
    """Sort key of a row of `reports`: addenda last, then by time, place in the file, id."""
    return report["addendum"], report["issued"] or "", report["file_row"], report["report_id"]


def unclear_versions(reports: Sequence[Row], links: Iterable[Row]) -> list[tuple[str, str]]:
    """Pairs of a study's reports of which nothing tells whether one is a version of the other.

    They are of one patient, request and, as far as told, procedure, and none is an addendum.
    `reports` are rows in reading order, `links` rows with owner_id, kind and value_hash.
    """
    named: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for link in links:
        named[link["owner_id"]][link["kind"]].add(link["value_hash"])
    return [
        (first["report_id"], second["report_id"])
        for first, second in combinations([one for one in reports if not one["addendum"]], 2)
        if _may_be_versions(first, second, named)
    ]


def _may_be_versions(first: Row, second: Row, named: Mapping[str, Any]) -> bool:
    ours, theirs = named[first["report_id"]], named[second["report_id"]]
    procedures = first["procedure_hash"], second["procedure_hash"]
    return agree(ours, theirs, "patient_id") and of_one_request(ours, theirs, procedures)
