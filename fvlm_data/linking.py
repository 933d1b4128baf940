"""Which report belongs to which study: the join over the `links` table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fvlm_data.store import Store

JOINING_KINDS = ("study_uid", "volume_name", "accession")
"""Kinds of link that join a report to a study, the strongest first.

A patient's id alone does not say which of the patient's studies a report describes.
"""


@dataclass(frozen=True, slots=True)
class Joined:
    """Studies of a report, each with the strongest kind of link that joined them.

    `conflict` names two kinds of link of the report that point to different studies; then
    `studies` is empty.
    """

    studies: Mapping[str, str]
    conflict: tuple[str, str] | None = None


def join_reports(
    links: Iterable[Mapping[str, Any]], series_study: Mapping[str, str]
) -> dict[str, Joined]:
    """Join every report that has links to its studies.

    `links` are rows of the `links` table, `series_study` gives the study of each series. Kinds
    of links of one report that all find studies must have one in common; else the report is in
    conflict with itself. The result does not depend on the order of `links`.
    """
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    wanted: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for link in links:
        name = (link["kind"], link["value_hash"])
        if link["owner_kind"] == "report":
            wanted[link["owner_id"]].append(name)
        elif link["owner_kind"] == "study":
            owners[name].add(link["owner_id"])
        elif link["owner_kind"] == "series" and link["owner_id"] in series_study:
            owners[name].add(series_study[link["owner_id"]])
    return {report: _joined(names, owners) for report, names in wanted.items()}


def read_joins(store: Store) -> dict[str, Joined]:
    """`join_reports` over the tables of a store."""
    volumes = store.read("volumes", ["series_id", "study_id"]).to_pylist()
    series_study = {row["series_id"]: row["study_id"] for row in volumes}
    known = set(series_study.values())
    links = [
        link
        for link in store.read("links").to_pylist()
        if link["owner_kind"] != "study" or link["owner_id"] in known
    ]
    return join_reports(links, series_study)


def _joined(names: Iterable[tuple[str, str]], owners: Mapping[tuple[str, str], set[str]]) -> Joined:
    by_kind: dict[str, set[str]] = defaultdict(set)
    for kind, value in names:
        by_kind[kind] |= owners.get((kind, value), set())
    found = [(kind, by_kind[kind]) for kind in JOINING_KINDS if by_kind[kind]]
    for position, (kind, those) in enumerate(found):
        for other, others in found[position + 1 :]:
            if not those & others:
                return Joined({}, (kind, other))
    studies: dict[str, str] = {}
    for kind, those in found:
        for study in sorted(those):
            studies.setdefault(study, kind)
    return Joined(studies)
