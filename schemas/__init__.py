"""The tables of a store: one module a table, each with its row dataclass and pyarrow schema."""

from __future__ import annotations

from schemas import (
    anatomy_texts,
    candidates,
    cross_checks,
    findings,
    inputs,
    ledger,
    links,
    masks,
    quarantine,
    reports,
    samples,
    sentences,
    splits,
    study_reports,
    volume_checks,
    volumes,
    waiting,
)
from schemas.anatomy_texts import AnatomyText
from schemas.cross_checks import CrossCheck
from schemas.findings import Finding
from schemas.inputs import Input
from schemas.ledger import LedgerRow
from schemas.links import Link
from schemas.masks import Mask
from schemas.quarantine import Quarantined
from schemas.reports import Report
from schemas.samples import Sample
from schemas.sentences import Sentence
from schemas.splits import Split
from schemas.study_reports import StudyReport
from schemas.table import Column, SchemaError, Table
from schemas.volume_checks import VolumeCheck
from schemas.volumes import Volume
from schemas.waiting import Waiting

VERSION = 1
"""Version of the tables; a store made by another version is refused."""

TABLES: dict[str, Table] = {
    module.TABLE.name: module.TABLE
    for module in (
        inputs,
        candidates,
        volumes,
        volume_checks,
        links,
        quarantine,
        waiting,
        masks,
        reports,
        sentences,
        findings,
        study_reports,
        anatomy_texts,
        cross_checks,
        splits,
        samples,
        ledger,
    )
}

ADDED = ("cross_checks",)
"""Tables that stores of this version may lack, since they came later; they are made anew."""

ADDED_COLUMNS: dict[str, tuple[str, ...]] = {
    "candidates": ("pixels_sha256",),
    "volumes": ("pixels_sha256",),
    "volume_checks": ("searched",),
}
"""Columns that tables of this version may lack, since they came later; all may be missing.

A table without them is read as if they stood there, empty, and gets them by the next write.
"""

__all__ = [
    "ADDED",
    "ADDED_COLUMNS",
    "TABLES",
    "VERSION",
    "AnatomyText",
    "Column",
    "CrossCheck",
    "Finding",
    "Input",
    "LedgerRow",
    "Link",
    "Mask",
    "Quarantined",
    "Report",
    "Sample",
    "SchemaError",
    "Sentence",
    "Split",
    "StudyReport",
    "Table",
    "Volume",
    "VolumeCheck",
    "Waiting",
]
