"""Report sources: one file a kind, read into the same rows."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.reports.sources.kind import (
    AUTO,
    REPORT_SOURCES,
    Kind,
    kind_by_suffix,
    known_suffixes,
)
from fvlm_data.reports.sources.mapping import LinkMapping, read_mapping
from fvlm_data.reports.sources.options import ReadOptions
from fvlm_data.reports.sources.quiet import each_quiet, quiet
from fvlm_data.reports.sources.rows import (
    THE_FILE,
    ReportRow,
    ReportSourceError,
    Version,
    faulty,
    placed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.reports.sources.config import ReportSourceConfig

__all__ = [
    "REPORT_SOURCES",
    "Kind",
    "LinkMapping",
    "ReadOptions",
    "ReportRow",
    "ReportSourceError",
    "Version",
    "read_mapping",
    "read_reports",
    "read_source",
    "told_columns",
]


_UNREADABLE = (
    "the file cannot be read as what its suffix says, or has no column of reports or of what names "
    "a study; name it alone as a source to be told which; mend it, or move it away"
)


def read_reports(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    kind: str = AUTO,
    mapping: Path | None = None,
    encoding: str | None = None,
) -> Iterator[ReportRow]:
    """Read the reports of a file, or of all files of a folder in the order of their names.

    `columns` maps our names (study_uid, accession, issuer, volume_name, patient_id, report,
    findings, impression, patient_name, issued, ...) to columns of a table; what it leaves out
    is found by name, whatever the case. `kind` is one of REPORT_SOURCES, or `auto`: by
    suffix. A report that cannot be read comes as a row with a fault; so does a file of a folder
    that is of no kind, or that cannot be read where another one can. `mapping` names a CSV file
    with more links.

    Raises:
        ReportSourceError: the file, or each one of a folder, is missing, of another kind, broken
            as a whole, or lacks a column.
    """
    links = read_mapping(mapping) if mapping else None
    options = ReadOptions(columns or {}, encoding, linked=mapping is not None)
    for row in _rows_of(path, kind, options):
        yield links.added_to(row) if links and row.fault is None else row


def read_source(source: ReportSourceConfig) -> Iterator[ReportRow]:
    """`read_reports` of a configured source.

    Raises:
        ReportSourceError: as `read_reports` does.
    """
    return read_reports(
        source.path,
        source.columns,
        kind=source.kind,
        mapping=source.mapping,
        encoding=source.encoding,
    )


def told_columns(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    kind: str = AUTO,
    mapping: Path | None = None,
    encoding: str | None = None,
) -> dict[str, int]:
    """What the columns of a source's tables are used for: sentences, with the number of files.

    Sources of other kinds have no columns; files that `read_reports` sets aside have none.

    Raises:
        ReportSourceError: as `read_reports` does.
    """
    options = ReadOptions(columns or {}, encoding, linked=mapping is not None)
    told: Counter[str] = Counter()
    for file, _ in _files(path):
        found = kind_by_suffix(file.suffix.lower()) if kind == AUTO else kind
        if found is not None:
            with REPORT_SOURCES.named_in_errors(found), quiet():
                tell = REPORT_SOURCES.load(found).told
                try:
                    columns_told = list(tell(file, options)) if tell is not None else []
                except ReportSourceError:
                    if path.is_file():
                        raise
                    continue  # `read_reports` sets it aside
                told.update(f"{found}: {one.sentence}" for one in columns_told)
    return dict(told)


def _rows_of(path: Path, kind: str, options: ReadOptions) -> Iterator[ReportRow]:
    """Rows of all files; those of files that cannot be read wait for one that can.

    A folder of which no file can be read is most often a fault of the configuration.
    """
    in_folder = path.is_dir()
    broken: list[ReportRow] = []
    first: ReportSourceError | None = None
    readable = False
    for file, name in _files(path):
        try:
            for row in _read(file, kind, options, in_folder=in_folder):
                readable = readable or row.fault is None
                yield placed(replace(row, file=name))
        except ReportSourceError as error:
            if not in_folder:
                raise
            first = first or error
            unreadable = faulty(0, "unreadable_file", _UNREADABLE, place=THE_FILE)
            broken.append(placed(replace(unreadable, file=name)))
        if readable:
            yield from broken
            broken.clear()
    if first is not None and not readable:
        raise first


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """Files with their path relative to the source; hidden ones are left out."""
    if path.is_file():
        yield path, path.name
        return
    if not path.is_dir():
        raise ReportSourceError(
            f"report file {path}: no such file; expected a file or folder of reports"
        )
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                file = Path(folder, name)
                yield file, file.relative_to(path).as_posix()


_COMMON_SUFFIXES = (
    ".bak", ".db", ".doc", ".docx", ".eml", ".gz", ".htm", ".html", ".jpeg", ".jpg", ".log", ".md",
    ".msg", ".nii", ".odt", ".pdf", ".png", ".rtf", ".tar", ".tif", ".xls", ".xml", ".yaml", ".yml",
    ".zip",
)  # fmt: skip


def _shown(suffix: str) -> str:
    """A suffix for a message: one that computers know, for the rest may be part of a name."""
    if not suffix:
        return "no suffix"
    return suffix if suffix in {*_COMMON_SUFFIXES, *known_suffixes()} else "another suffix"


def _read(path: Path, kind: str, options: ReadOptions, *, in_folder: bool) -> Iterator[ReportRow]:
    suffix = path.suffix.lower()
    found = kind_by_suffix(suffix) if kind == AUTO else kind
    if found is not None:
        with REPORT_SOURCES.named_in_errors(found):
            yield from each_quiet(REPORT_SOURCES.load(found).read(path, options))
    elif in_folder:
        detail = f"a file with {_shown(suffix)} is of no known kind; name its kind"
        yield faulty(0, "unknown_kind", detail, kind="out_of_scope", place=THE_FILE)
    else:
        raise ReportSourceError(
            f"report file {path}: expected one of {', '.join(known_suffixes())}, found "
            f"{_shown(suffix)}; rename it or name its kind"
        )
