"""CSV files of values: a row a value, or a column a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.clinical.analytes import analyte
from fvlm_data.clinical.sources.times import local_time
from fvlm_data.clinical.sources.told import BROKEN, NOT_OURS, Aside, ClinicalSourceError, Told
from fvlm_data.column_names import listed, shown_columns
from fvlm_data.reports.sources.layout import LINK_NAMES, found
from fvlm_data.reports.sources.options import ReadOptions
from fvlm_data.reports.sources.rows import ReportSourceError, cell
from fvlm_data.reports.sources.spreadsheet import number_as_typed
from fvlm_data.reports.sources.tables import BrokenRow, csv_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fvlm_data.clinical.config import ClinicalSourceConfig
    from fvlm_data.reports.sources.tables import Table

USUAL = {
    "patient_id": LINK_NAMES["patient_id"],
    "issuer": ("issuer", "issuer_of_patient_id", "issuerofpatientid"),
    "time": ("time", "observed_at", "charttime", "collected_at", "effective", "datetime", "date"),
    "name": ("name", "analyte", "code", "loinc", "parameter", "label"),
    "value": ("value", "valuenum", "result"),
    "unit": ("unit", "units", "valueuom", "ucum"),
}
"""Columns by their usual names, those of MIMIC's tables among them."""

MANGLED = Aside(
    "fault",
    "mangled_number",
    "patient numbers that a spreadsheet has shortened (1.67683E+15); export the column as text",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column holds what; of a table with a column a name `values` tells of these.

    `values` holds by column our name, the unit and the column of the time (empty: `time`).
    """

    columns: Mapping[str, str]
    values: Mapping[str, tuple[str, str, str]]
    unused: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """All of it, for a person to look at before the run."""
        read = [f"{ours} from {column}" for ours, column in self.columns.items()]
        for column, (name, unit, time) in self.values.items():
            told = f" in {unit}" if unit else ""
            read.append(f"{name} from {column}{told}" + (f" (time: {time})" if time else ""))
        return f"{', '.join(read)}; not used: {listed(self.unused)}"


def layout_of(path: Path, source: ClinicalSourceConfig) -> Layout:
    """The layout of one CSV file.

    Raises:
        ClinicalSourceError: the file cannot be read, or a column is missing.
    """
    return _opened(path, source)[1]


def read_table(path: Path, source: ClinicalSourceConfig) -> Iterator[Told]:
    """All values of a CSV file.

    Raises:
        ClinicalSourceError: the file cannot be read, or a column is missing.
    """
    table, layout = _opened(path, source)
    for _, cells in table.rows([layout.columns["patient_id"]]):
        if isinstance(cells, BrokenRow):
            yield Told("", fault=BROKEN)
        else:
            yield from _values(cells, layout, source)


def _opened(path: Path, source: ClinicalSourceConfig) -> tuple[Table, Layout]:
    try:
        (table,) = csv_tables(path, ReadOptions(encoding=source.encoding))
    except (ReportSourceError, OSError) as error:
        raise ClinicalSourceError(
            f"clinical file {path}: cannot be read as CSV ({type(error).__name__}); check the file"
        ) from error
    return table, _layout(path, list(table.names), source)


def _layout(path: Path, names: list[str], source: ClinicalSourceConfig) -> Layout:
    wide = {column: (one.name, one.unit, one.time) for column, one in source.values.items()}
    usual = {ours: forms for ours, forms in USUAL.items()
             if not wide or ours in ("patient_id", "issuer", "time")}  # fmt: skip
    columns = found(names, source.columns, usual)
    needed = ["patient_id"] if wide else ["patient_id", "time", "name", "value"]
    missing = [ours for ours in needed if ours not in columns]
    named = [*columns.values(), *wide, *(time for _, _, time in wide.values() if time)]
    absent = [column for column in named if column not in names]
    if missing or absent:
        known = {*(form for forms in USUAL.values() for form in forms), *named}
        shown = shown_columns(names, known)
        what = f"no column for {missing[0]}" if missing else f"no column {absent[0]!r}"
        raise ClinicalSourceError(
            f"clinical file {path}: {what}; its columns are {shown}; give "
            "`columns` (a row a value: patient_id, time, name, value, unit) or `values` (a column "
            "a name)"
        )
    twice = sorted({column for column in named if names.count(column) > 1})
    if twice:
        raise ClinicalSourceError(
            f"clinical file {path}: two columns are called {twice[0]!r}; expected one; rename one"
        )
    return Layout(columns, wide, tuple(name for name in names if name not in named))


def _values(
    cells: Mapping[str, Any], layout: Layout, source: ClinicalSourceConfig
) -> Iterator[Told]:
    columns = layout.columns
    written = cell(cells.get(columns["patient_id"]))
    patient, issuer = number_as_typed(written), cell(cells.get(columns.get("issuer", "")))
    if patient is None:
        yield Told("", fault=MANGLED)
        return
    default = columns.get("time", "")
    if not layout.values:
        theirs = cell(cells.get(columns["name"]))
        ours = source.names.get(theirs, theirs)
        known = analyte(ours)
        told = [(ours if known else "", columns["value"], cell(cells.get(columns.get("unit", ""))),
                 default)]  # fmt: skip
    else:
        told = [(name, column, unit, time or default)
                for column, (name, unit, time) in layout.values.items()]  # fmt: skip
    for name, column, unit, time in told:
        value = cell(cells.get(column))
        if layout.values and not value:
            continue  # a cell that holds nothing is no value
        if source.decimal == ",":
            value = value.replace(".", "?").replace(",", ".")
        when = local_time(cell(cells.get(time)), source.time_format, source.timezone)
        fault = None if name else NOT_OURS
        if isinstance(when, Aside):
            fault, when = fault or when, ""
        yield Told(patient, name, value, unit, when, issuer, fault)
