"""One row of a report file under its ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.identity.ids import file_token, keyed_id, link_key
from fvlm_data.reports.versions.original_reports import told_about

if TYPE_CHECKING:
    from collections import Counter

    from fvlm_data.reports.sources import ReportRow
    from fvlm_data.reports.sources.config import ReportSourceConfig


@dataclass(frozen=True, slots=True)
class Offered:
    """One row of a report file under its ids; tokens of duplicates count on from `.1`.

    `file` is the token of its file, `path` the file's path relative to the source; `links` are
    kinds and keyed hashes, sorted.
    """

    report_id: str
    token: str
    fingerprint: str
    file: str
    path: str
    row: ReportRow
    links: tuple[tuple[str, str], ...] = ()

    @property
    def own_key(self) -> tuple[str, ...]:
        """What a report keeps when it is changed in its file: its id there, else its links."""
        return own_key(self.file, self.row.version.document, self.links)

    @property
    def unreadable(self) -> bool:
        """Whether it stands for a report that its file holds and nobody can read."""
        fault = self.row.fault
        return fault is not None and fault[0] == "fault" and not self.row.columns


def own_key(file: str, document: str, links: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Key of a report in its file; `links` are sorted."""
    return (file, document) if document else (file, *(f"{kind}:{value}" for kind, value in links))


def offered_row(
    key: bytes,
    source: ReportSourceConfig,
    naming: Any,
    row: ReportRow,
    occurrences: Counter[str],
) -> Offered:
    """A row of a source's file under its ids; `occurrences` counts the rows of each id so far."""
    file = file_token(key, naming, source.label, row.file)
    path = f"{source.label}/{row.file}" if source.path.is_dir() else source.label
    if row.fault is not None and not row.columns:
        token = keyed_id(key, "r", "row", source.label, row.file, str(row.row))
        return Offered(token, token, token, file, path, row)
    links = {(kind, link_key(kind, value, issuer, key=key)) for kind, value, issuer in row.links}
    columns = [f"{name}={text}" for name, text in sorted(row.columns.items())]
    if row.version.withdrawn:
        # It may hold the text of what it withdraws, or none.
        columns += ["withdrawn", row.version.document, row.issued]
    report_id = keyed_id(key, "r", *sorted(f"{kind}:{value}" for kind, value in links), *columns)
    occurrences[report_id] += 1
    about = [f"{name}={told}" for name, told in told_about(row).items() if told]
    return Offered(
        report_id=report_id,
        token=f"{report_id}.{occurrences[report_id] - 1}",
        fingerprint=keyed_id(key, "r", "content", *columns, "identities", *row.identities, *about),
        file=file,
        path=path,
        row=row,
        links=tuple(sorted(links)),
    )
