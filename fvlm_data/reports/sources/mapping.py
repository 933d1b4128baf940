"""A mapping file: a table that tells more names of the studies that reports describe."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.sources.layout import (
    LINK_NAMES,
    LOST,
    MANGLED,
    OTHER_NAMES,
    found,
    row_links,
    shown_names,
)
from fvlm_data.reports.sources.options import ReadOptions
from fvlm_data.reports.sources.rows import ReportSourceError, cell, sorted_links
from fvlm_data.reports.sources.tables import BrokenRow, csv_tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fvlm_data.reports.sources.rows import Link, ReportRow

NAME_COLUMNS = ("report", "file", "report_file", *OTHER_NAMES["name"])


@dataclass(frozen=True, slots=True)
class LinkMapping:
    """Links by what a row of the mapping shares with a report: its name or one of its links."""

    by_name: Mapping[tuple[str, str], tuple[Link, ...]]

    def added_to(self, row: ReportRow) -> ReportRow:
        """The report with the links of all rows that name it or share a link with it."""
        names = [("name", row.name)] + [(kind, value) for kind, value, _ in row.links]
        more = [link for kind, value in names for link in self.by_name.get((kind, _key(value)), ())]
        return replace(row, links=sorted_links((*row.links, *more))) if more else row


def read_mapping(path: Path) -> LinkMapping:
    """Read a mapping file: CSV with a column `report` (file name or id) and columns of links.

    Without a column `report` its rows meet the reports by the links that both have.

    Raises:
        ReportSourceError: the file cannot be read, has not two columns to map by, or a row of
            it is broken: a link that is lost would go unseen.
    """
    if not path.is_file():
        raise ReportSourceError(f"mapping {path}: no such file; expected a CSV file")
    (table,) = csv_tables(path, ReadOptions())
    columns = found(table.names, {}, LINK_NAMES)
    own = found(table.names, {}, {"name": NAME_COLUMNS, "issuer": OTHER_NAMES["issuer"]})
    if len(columns) + ("name" in own) < 2:
        raise ReportSourceError(
            f"mapping {path}: its columns are {shown_names(table.names)}; expected report "
            "(file name or id) and study_uid, accession or volume_name"
        )
    made: dict[tuple[str, str], list[Link]] = defaultdict(list)
    for place, row in table.rows(list(columns.values())):
        detail = row.detail if isinstance(row, BrokenRow) else _add(made, row, columns, own)
        if detail:
            raise ReportSourceError(f"mapping {path}: {place}: {detail}")
    return LinkMapping({key: sorted_links(links) for key, links in made.items()})


def _add(
    made: dict[tuple[str, str], list[Link]],
    row: Mapping[str, Any],
    columns: Mapping[str, str],
    own: Mapping[str, str],
) -> str:
    """Add a row's links; returns what is wrong with them, blank where nothing is."""
    links, notes = row_links(columns, row, cell(row.get(own.get("issuer", ""))) or None)
    if LOST in notes:
        return MANGLED
    name = cell(row.get(own["name"])) if "name" in own else ""
    keys = [("name", name)] if name else [(kind, value) for kind, value, _ in links]
    for kind, value in keys:
        made[kind, _key(value)] += links
    return ""


def _key(value: str) -> str:
    """A name without folder and without the suffixes that report and volume files have."""
    plain = value.strip().casefold().replace("\\", "/").rsplit("/", 1)[-1]
    for suffix in (".nii.gz", ".nii", ".txt", ".dcm", ".json", ".hl7"):
        plain = plain.removesuffix(suffix)
    return plain
