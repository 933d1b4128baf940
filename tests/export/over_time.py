"""Stores of one patient's studies over time, made of report texts as the parser reads them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from fvlm_data.export import EXPORTS
from fvlm_data.export.run import Form, run_tables_export
from fvlm_data.reports import ReportParser
from fvlm_data.reports.language.reconcile import assessments
from fvlm_data.store.tables import Store
from schemas import Finding, Sentence, Split, StudyReport
from tests.core.hand_store import volume

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schemas import Sample


@cache
def parser() -> ReportParser:
    """One for all stores; made when first asked for, since it takes a second."""
    return ReportParser()


@dataclass(frozen=True)
class Visit:
    """A study with its date and the texts of its reports' findings."""

    study: str
    date: str | None
    texts: tuple[str, ...] = ()
    patient: str = "p_1"


def visit(study: str, date: str | None, *texts: str, patient: str = "p_1") -> Visit:
    return Visit(study, date, texts, patient)


def made_store(
    folder: Path,
    *visits: Visit,
    splits: dict[str, str] | None = None,
    samples: Sequence[Sample] = (),
) -> Store:
    """A store whose tables hold what is said of the visits."""
    store = Store.create(folder / "store")
    sentences, findings, joined = [], [], []
    for one in visits:
        for order, text in enumerate(one.texts):
            report = f"r_{one.study}_{order}"
            joined.append(
                StudyReport(study_id=one.study, report_id=report, matched_by="accession",
                            order=order)
            )  # fmt: skip
            told = rows_of(report, text)
            sentences += told[0]
            findings += told[1]
    store.replace_all("sentences", sentences)
    store.replace_all("findings", findings)
    store.replace_all("study_reports", joined)
    made = [
        volume(number, one.study, one.patient, acquired_on=one.date)
        for number, one in enumerate(visits)
    ]
    store.replace_all("volumes", made)
    given = splits or {}
    split = [Split(patient_id=p, split=s, source="file") for p, s in given.items()]
    store.replace_all("splits", split)
    store.replace_all("samples", samples)
    return store


def rows_of(report_id: str, text: str) -> tuple[list[Sentence], list[Finding]]:
    """Rows of the tables, as the stage makes them of a text below FINDINGS."""
    report = parser().parse(text if ":" in text.split(" ")[0] else f"FINDINGS: {text}")
    sentences = [
        Sentence(
            report_id=report_id, sentence=number, start=one.start, end=one.end,
            section=one.section, text=one.text, anatomies=tuple(said),
            assessments=tuple(said.values()),
        )
        for number, (one, said) in enumerate(
            zip(report.sentences, assessments(report), strict=True)
        )
    ]  # fmt: skip
    findings = [
        Finding(
            report_id=report_id, sentence=one.sentence, start=one.start, end=one.end,
            finding=one.finding, anatomy=one.anatomy, status=one.status,
            laterality=one.laterality, severity=one.severity, size_mm=one.size_mm,
            prior_size_mm=one.prior_size_mm, change=one.change, location=one.location,
        )
        for one in report.findings
    ]  # fmt: skip
    return sentences, findings


def table_of(form: str, store: Store, folder: Path, name: str) -> list[dict[str, Any]]:
    """Rows of one file of an export."""
    entry = EXPORTS.load(form)
    made = Form(form, entry, entry.options())
    run_tables_export(store, made, folder / "out", lambda _done, _total: None)
    rows: list[dict[str, Any]] = pq.read_table(folder / "out" / name).to_pylist()
    return rows
