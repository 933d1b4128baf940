"""Which of the files are reports, and which columns of tables hold what."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING

from fvlm_data.reports.sources import (
    REPORT_SOURCES,
    Kind,
    ReadOptions,
    ReportSourceError,
    read_reports,
)
from fvlm_data.reports.sources.kind import kind_by_suffix
from fvlm_data.reports.sources.layout import LINK_NAMES, TEXT_NAMES, found, layout
from fvlm_data.reports.sources.mapping import NAME_COLUMNS
from fvlm_data.reports.sources.tables import column_names
from fvlm_data.run.survey.found import FoundReports
from fvlm_data.run.survey.languages import languages_of
from fvlm_data.run.survey.linking import linking_column
from fvlm_data.run.survey.listing import fewest_folders, spread

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.run.survey.listing import Listing

TABLE_KINDS = ("csv", "parquet", "jsonl", "xlsx")
TABLES_AT_MOST = 200
MANY_TABLES = 5
"""Tables of one layout in a folder from which on the folder is named, not each file."""

FILES_NAMED = 20
"""Most files of reports that are named one by one."""

READ_OF_A_FOLDER = 3
ROWS_READ = 50
SENTENCE_CHARS = 40
"""A text this long is not a label: a column `finding` may hold names of findings."""

MAX_JSON_BYTES = 64 << 20


def read_tables(listing: Listing) -> dict[Path, list[str]]:
    """Columns of the tables that were seen; of one that cannot be read, none."""
    endings = tuple(suffix for kind in TABLE_KINDS for suffix in _suffixes(kind))
    tables = {}
    for path in islice(listing.with_ending(endings), TABLES_AT_MOST):
        try:
            tables[path] = column_names(path)
        except ReportSourceError:
            tables[path] = []
    return tables


def find_reports(
    listing: Listing,
    tables: Mapping[Path, Sequence[str]],
    structured_reports: Collection[Path],
    images: Collection[Path],
) -> tuple[list[FoundReports], list[str], Counter[str]]:
    """Files and folders of reports, notes, and languages of reports of tables with their number.

    The last two arguments are folders of these files.
    """
    mapping = _mapping(tables)
    texts: list[str] = []
    made, notes = _tables(listing, tables, mapping, texts)
    by_kind: dict[str, set[Path]] = {
        "fhir": _fhir_folders(listing),
        "hl7": {path.parent for path in listing.with_ending(_suffixes("hl7"))},
        "text": _text_folders(listing),
        "dicom_sr": set(structured_reports),
    }
    for kind, folders in by_kind.items():
        rest = set(listing.files) - folders
        linked = mapping if kind != "dicom_sr" else None
        for path in fewest_folders(listing.root, folders, rest):
            files = _files_to_name(kind, path, listing)
            if kind == "dicom_sr" and path in images:
                notes.append(f"structured reports among the slices of {path}: move them, to read")
            elif len(files) > FILES_NAMED:
                notes.append(f"{kind} reports among other files of {path}: move them, to read them")
            elif files:
                made += [FoundReports(kind, file, mapping=linked) for file in files]
            else:
                count = sum(len(listing.files[one]) for one in folders if one.is_relative_to(path))
                made.append(FoundReports(kind, path, count, mapping=linked))
    return made, notes, languages_of(texts)


_UNREAD = {
    ".pdf": "save it as .txt (a PDF is read where an HL7 or FHIR message carries it)",
    ".doc": "save it as .txt",
    ".docx": "save it as .txt",
    ".odt": "save it as .txt",
    ".xls": "save it as .xlsx or .csv",
    ".xlsm": "save it as .xlsx or .csv",
    ".ods": "save it as .xlsx or .csv",
}
"""Endings of files that often hold reports and are of no kind that is read, and what to do."""


def unread_files(listing: Listing) -> list[str]:
    """Notes on files that may hold reports and that nothing reads, one for each ending."""
    notes = []
    for ending, advice in _UNREAD.items():
        files = list(listing.with_ending((ending,)))
        if files and kind_by_suffix(ending) is None:
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            notes.append(f"{files[0]}{more}: {ending} is not read; if it holds reports {advice}")
    return notes


def _files_to_name(kind: str, path: Path, listing: Listing) -> list[Path]:
    """Files of a kind below a folder that holds other files too; none if it does not.

    A folder of reports is read whole: slices among them would each be a fault.
    """
    below = [
        folder / name
        for folder, names in listing.files.items()
        if folder.is_relative_to(path)
        for name in names
    ]
    mine = [file for file in below if file.suffix.lower() in _suffixes(kind)]
    return mine if kind != "dicom_sr" and len(mine) < len(below) else []


def _tables(
    listing: Listing,
    tables: Mapping[Path, Sequence[str]],
    mapping: Path | None,
    texts: list[str],
) -> tuple[list[FoundReports], list[str]]:
    """Tables of reports, and notes; some of their texts are added to `texts`."""
    made: dict[Path, FoundReports] = {}
    notes = []
    for path, names in tables.items():
        if not found(names, {}, TEXT_NAMES) or path == mapping:
            continue
        named = {}
        if mapping is None and not found(names, {}, LINK_NAMES):
            named = linking_column(path, names, listing)
        try:
            columns = layout(path, names, named, linked=mapping is not None)
            rows = _first_rows(path, mapping, named)
        except ReportSourceError as error:
            notes.append(str(error))
            continue
        if not _sentences(rows):
            notes.append(
                f"table {path}: its column {', '.join(columns.texts.values())} holds no "
                "sentences, so that it is not taken for reports"
            )
            continue
        texts += [text for row in rows if (text := "\n".join(row).strip())]
        linked = None if columns.links else mapping
        told = {**columns.links, **columns.texts, **columns.others, **columns.identities}
        made[path] = FoundReports(_kind(path), path, 1, told, linked)
    return _joined(listing, made), notes


def _first_rows(
    path: Path, mapping: Path | None = None, named: Mapping[str, str] | None = None
) -> list[list[str]]:
    """The texts of each of the first rows."""
    rows = islice(read_reports(path, named, mapping=mapping), ROWS_READ)
    return [list(row.columns.values()) for row in rows]


def _sentences(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a text of some rows is longer than a label; a table without rows passes."""
    texts = [text.strip() for row in rows for text in row]
    return not rows or any(len(text) >= SENTENCE_CHARS and " " in text for text in texts)


def _joined(listing: Listing, made: Mapping[Path, FoundReports]) -> list[FoundReports]:
    """Folders in place of many tables of one layout that lie alone in them."""
    by_folder: dict[Path, list[FoundReports]] = defaultdict(list)
    for path, one in made.items():
        by_folder[path.parent].append(one)
    result: list[FoundReports] = []
    for folder, ones in by_folder.items():
        first = ones[0]
        alike = len({(o.kind, tuple(o.columns.items()), o.mapping) for o in ones}) == 1
        if alike and len(ones) >= MANY_TABLES and len(ones) == len(listing.files[folder]):
            ones = [FoundReports(first.kind, folder, len(ones), first.columns, first.mapping)]
        result += ones
    return result


def _suffixes(kind: str) -> tuple[str, ...]:
    loaded: Kind = REPORT_SOURCES.load(kind)
    return loaded.suffixes


def _kind(path: Path) -> str:
    return next(kind for kind in TABLE_KINDS if path.suffix.lower() in _suffixes(kind))


def _mapping(tables: Mapping[Path, Sequence[str]]) -> Path | None:
    """The first CSV that names reports and their studies and holds no texts."""
    return next((path for path, names in tables.items() if _is_mapping(path, names)), None)


def _is_mapping(path: Path, names: Sequence[str]) -> bool:
    named = found(names, {}, {"name": NAME_COLUMNS})
    rest = [name for name in names if name not in named.values()]
    if path.suffix.lower() != ".csv" or not named or not found(rest, {}, LINK_NAMES):
        return False
    if found(rest, {}, TEXT_NAMES):
        return False
    if "report" not in found(names, {}, TEXT_NAMES):
        return True
    try:  # a column `report` names reports in a mapping, and holds them in a table of reports
        return not _sentences(_first_rows(path))
    except ReportSourceError:
        return False


def _fhir_folders(listing: Listing) -> set[Path]:
    """Folders of JSON files that hold a DiagnosticReport."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in listing.with_ending(_suffixes("fhir")):
        # a JSON file is read as a whole: a large one is some other export
        if path.stat().st_size <= MAX_JSON_BYTES:
            by_folder[path.parent].append(path)
    return {
        folder
        for folder, paths in by_folder.items()
        if any(_holds_report(path) for path in spread(paths, READ_OF_A_FOLDER))
    }


def _holds_report(path: Path) -> bool:
    first = next(REPORT_SOURCES.load("fhir").read(path, ReadOptions()))
    return first.fault is None or first.fault[1] not in ("not_a_report", "broken_json")


def _text_folders(listing: Listing) -> set[Path]:
    """Folders of nothing but text files with a number in their names: others are notes."""
    return {
        folder
        for folder, names in listing.files.items()
        if all(name.lower().endswith(_suffixes("text")) for name in names)
        and all(any(sign.isdigit() for sign in name) for name in names)
    }
