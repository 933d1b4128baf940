"""The tables of a store: one module a table, each with its row dataclass and pyarrow schema."""

from __future__ import annotations

from schemas import (
    anatomy_texts,
    candidates,
    clinical,
    corrections,
    cross_checks,
    decisions,
    files,
    findings,
    identity_marks,
    inputs,
    ledger,
    links,
    masks,
    measures,
    quarantine,
    radiomics,
    report_matches,
    report_versions,
    reports,
    restrictions,
    review_effects,
    samples,
    sentences,
    splits,
    study_reports,
    unlabelled_samples,
    volume_checks,
    volumes,
    waiting,
)
from schemas.anatomy_texts import AnatomyText
from schemas.clinical import ClinicalValue
from schemas.corrections import Correction
from schemas.cross_checks import CrossCheck
from schemas.decisions import Decision
from schemas.files import StoredFile
from schemas.findings import Finding
from schemas.identity_marks import IdentityMark
from schemas.inputs import Input
from schemas.ledger import LedgerRow
from schemas.links import Link
from schemas.masks import Mask
from schemas.measures import Measure
from schemas.quarantine import Quarantined
from schemas.radiomics import RadiomicsValue
from schemas.report_matches import ReportMatch
from schemas.report_versions import ReportVersion
from schemas.reports import Report
from schemas.restrictions import Restriction
from schemas.review_effects import ReviewEffect
from schemas.samples import Sample
from schemas.sentences import Sentence
from schemas.splits import Split
from schemas.study_reports import StudyReport
from schemas.table import Column, SchemaError, Table
from schemas.unlabelled_samples import UnlabelledSample
from schemas.volume_checks import VolumeCheck
from schemas.volumes import Volume
from schemas.waiting import Waiting

VERSION = 7
"""Version of the tables; an older store is refused until `fvlm-data upgrade` has rewritten it."""

TABLES: dict[str, Table] = {
    module.TABLE.name: module.TABLE
    for module in (
        inputs,
        candidates,
        volumes,
        volume_checks,
        links,
        identity_marks,
        quarantine,
        waiting,
        masks,
        report_matches,
        report_versions,
        corrections,
        reports,
        sentences,
        findings,
        study_reports,
        anatomy_texts,
        cross_checks,
        splits,
        samples,
        unlabelled_samples,
        measures,
        radiomics,
        clinical,
        decisions,
        review_effects,
        restrictions,
        files,
        ledger,
    )
}

__all__ = [
    "TABLES",
    "VERSION",
    "AnatomyText",
    "ClinicalValue",
    "Column",
    "Correction",
    "CrossCheck",
    "Decision",
    "Finding",
    "IdentityMark",
    "Input",
    "LedgerRow",
    "Link",
    "Mask",
    "Measure",
    "Quarantined",
    "RadiomicsValue",
    "Report",
    "ReportMatch",
    "ReportVersion",
    "Restriction",
    "ReviewEffect",
    "Sample",
    "SchemaError",
    "Sentence",
    "Split",
    "StoredFile",
    "StudyReport",
    "Table",
    "UnlabelledSample",
    "Volume",
    "VolumeCheck",
    "Waiting",
]
