"""The kinds of report files: one file each, one line of the list each."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.extensions import Extensions, loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydantic.config import JsonDict

    from fvlm_data.reports.sources.layout import ToldColumns
    from fvlm_data.reports.sources.options import ReadOptions
    from fvlm_data.reports.sources.rows import ReportRow

log = logging.getLogger(__name__)

AUTO = "auto"

REPORT_SOURCES = Extensions(
    "fvlm_data.report_sources",
    "kind of reports",
    {
        "csv": "fvlm_data.reports.sources.tables:CSV",
        "parquet": "fvlm_data.reports.sources.tables:PARQUET",
        "jsonl": "fvlm_data.reports.sources.tables:JSONL",
        "xlsx": "fvlm_data.reports.sources.tables:XLSX",
        "text": "fvlm_data.reports.sources.text_file:TEXT",
        "dicom_sr": "fvlm_data.reports.sources.dicom_sr:DICOM_SR",
        "fhir": "fvlm_data.reports.sources.fhir:FHIR",
        "hl7": "fvlm_data.reports.sources.hl7_v2:HL7",
    },
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of report file: the suffixes by which it is known (`.csv`), and its reader.

    `read` gives the rows of one file in their order. It raises ReportSourceError for a file that
    is broken as a whole; a row that cannot be read is one with a fault (`rows.faulty`). `told`
    says of a table what its columns are used for; it raises the same.
    """

    suffixes: tuple[str, ...]
    read: Callable[[Path, ReadOptions], Iterator[ReportRow]]
    told: Callable[[Path, ReadOptions], list[ToldColumns]] | None = None


@cache
def kind_by_suffix(suffix: str) -> str | None:
    """The kind of files with a suffix: ours first, then those of other packages; None: no kind.

    A package that cannot be loaded is logged by name; whether the file is of its kind is not
    known.
    """
    for offer in REPORT_SOURCES.offers():
        try:
            kind: Kind = loaded(offer, REPORT_SOURCES.what)
        except ConfigError as error:
            log.warning("%s", error)
            continue
        if suffix in kind.suffixes:
            return offer.name
    return None


def known_suffixes() -> list[str]:
    """The suffixes of our own kinds."""
    return [s for name in REPORT_SOURCES.own for s in REPORT_SOURCES.load(name).suffixes]


def known_kind(name: str) -> str:
    """`name`, if it is `auto` or a kind; the check of a key of the configuration.

    Raises:
        ValueError: it is none; the nearest is named.
    """
    return name if name == AUTO else REPORT_SOURCES.known(name)


def listed(schema: JsonDict) -> None:
    """Give the JSON Schema of such a key the names, for editors to complete."""
    schema["enum"] = [AUTO, *REPORT_SOURCES.names()]
