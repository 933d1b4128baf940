"""Labels as a CSV: what the parser gives of each report, after the way through the tables."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.export import EXPORTS
from fvlm_data.export.run import Form, run_tables_export
from fvlm_data.reports import ParsedReport, ReportParser
from fvlm_data.reports.language.reconcile import assessments
from fvlm_data.store.tables import Store
from schemas import Finding, Sentence, StudyReport
from tests.core.hand_store import volume
from tests.reports.kinds import kind_cases

TEXTS = sorted({case.text for case in kind_cases()})[::3]


@pytest.fixture(scope="module")
def parsed() -> dict[str, ParsedReport]:
    parser = ReportParser()
    return {f"st_{number:04}": parser.parse(text) for number, text in enumerate(TEXTS)}


@pytest.fixture(scope="module")
def store(parsed: dict[str, ParsedReport], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A study a text, each with two volumes."""
    made = Store.create(tmp_path_factory.mktemp("labels") / "store")
    sentences, findings = [], []
    for study, report in parsed.items():
        for number, (one, said) in enumerate(
            zip(report.sentences, assessments(report), strict=True)
        ):
            sentences.append(
                Sentence(
                    report_id=study, sentence=number, start=one.start, end=one.end,
                    section=one.section, text=one.text, anatomies=tuple(said),
                    assessments=tuple(said.values()),
                )
            )  # fmt: skip
        findings += [
            Finding(
                report_id=study, sentence=one.sentence, start=one.start, end=one.end,
                finding=one.finding, anatomy=one.anatomy, status=one.status,
                laterality=one.laterality, severity=one.severity, size_mm=one.size_mm,
            )
            for one in report.findings
        ]  # fmt: skip
    made.replace_all("sentences", sentences)
    made.replace_all("findings", findings)
    joined = [StudyReport(study_id=s, report_id=s, matched_by="study_uid", order=0) for s in parsed]
    made.replace_all("study_reports", joined)
    volumes = [volume(2 * n + m, study) for n, study in enumerate(parsed) for m in (0, 1)]
    made.replace_all("volumes", volumes)
    return made


def exported(store: Store, folder: Path, **options: object) -> dict[str, dict[str, int]]:
    """Labels by the first column of the CSV that an export wrote."""
    entry = EXPORTS.load("labels")
    form = Form("labels", entry, entry.options(**options))
    run_tables_export(store, form, folder, lambda _done, _total: None)
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    key = next(iter(rows[0]))
    return {row.pop(key): {label: int(value) for label, value in row.items()} for row in rows}


@pytest.mark.parametrize("name", ["ct_rate", "rad_chest_ct"])
def test_labels_are_those_of_the_parser(
    store: Store, parsed: dict[str, ParsedReport], tmp_path: Path, name: str
):
    found = exported(store, tmp_path / "out", label_set=name)
    assert found == {study: report.labels(name) for study, report in parsed.items()}
    assert sum(sum(labels.values()) for labels in found.values()) > 50


def test_what_is_not_mentioned_is_told(
    store: Store, parsed: dict[str, ParsedReport], tmp_path: Path
):
    found = exported(store, tmp_path / "out", label_set="merlin")
    for study, report in parsed.items():
        right = report.labels("merlin")
        for label, value in found[study].items():
            # a sentence that also denies a finding does not call its organ normal here
            assert value == right[label] or (value, right[label]) == (-1, 0), (study, label)
    values = [value for labels in found.values() for value in labels.values()]
    assert {-1, 0, 1} == set(values)


def test_a_row_a_volume(store: Store, parsed: dict[str, ParsedReport], tmp_path: Path):
    found = exported(store, tmp_path / "out", rows="volume")
    assert len(found) == 2 * len(parsed)
    assert found["v_0.nii.gz"] == found["v_1.nii.gz"] == parsed["st_0000"].labels("ct_rate")


def test_what_is_held_possible_counts_as_asked(store: Store, tmp_path: Path):
    counted = exported(store, tmp_path / "counted")
    certain = exported(store, tmp_path / "certain", uncertain_is_positive=False)
    fewer = [
        study for study in counted if sum(certain[study].values()) < sum(counted[study].values())
    ]
    assert fewer
    assert all(certain[s][label] <= counted[s][label] for s in counted for label in counted[s])


def test_an_unknown_set_is_refused(store: Store, tmp_path: Path):
    with pytest.raises(ConfigError, match="did you mean merlin"):
        exported(store, tmp_path / "out", label_set="merlim")
