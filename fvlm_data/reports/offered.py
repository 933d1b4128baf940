"""One row of a report file under its ids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fvlm_data.identity.forgotten import told
from fvlm_data.identity.ids import file_token, keyed_id, link_key
from fvlm_data.reports.sources.rows import Version
from fvlm_data.reports.versions.original_reports import told_about

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping, Sequence

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


def report_id_of(key: bytes, links: Iterable[tuple[str, str]], columns: Sequence[str]) -> str:
    """Id of a report, from what it names (kinds and keyed hashes) and its columns `name=text`."""
    return keyed_id(key, "r", *sorted(f"{kind}:{value}" for kind, value in links), *columns)


def text_columns(columns: Mapping[str, str]) -> list[str]:
    """The columns of a report's text as they enter its id."""
    return [f"{name}={text}" for name, text in sorted(columns.items())]


def as_forgotten(key: bytes, offered: Offered, source: str, later: str) -> Offered:
    """What tables may hold of a row whose patient or study was forgotten: that there is one.

    Its token and that of its file lead nowhere: nothing keeps what they were made from.
    """
    token = f"{keyed_id(key, 'r', 'forgotten', offered.token)}.0"
    row = replace(
        offered.row, links=(), columns={}, identities=(), issued="", version=Version(),
        fault=told(later), notes=(),
    )  # fmt: skip
    return Offered(token, token, token, forgotten_file(key, source), "", row)


def forgotten_file(key: bytes, source: str) -> str:
    """What stands in the place of the file's token of all rows of a source that were forgotten."""
    return keyed_id(key, "f", "forgotten", source)


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
    links = {(kind, link_key(kind, value, issuer, key=key)) for kind, value, issuer in row.links}
    if row.fault is not None and not row.columns:
        token = keyed_id(key, "r", "row", source.label, row.file, str(row.row))
        return Offered(token, token, token, file, path, row, tuple(sorted(links)))
    columns = text_columns(row.columns)
    if row.version.withdrawn:
        # It may hold the text of what it withdraws, or none.
        columns += ["withdrawn", row.version.document, row.issued]
    report_id = report_id_of(key, links, columns)
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
