from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fvlm_data.phantom.catalogue import ANATOMIES, KIND, KINDS
from fvlm_data.phantom.draws import stream
from fvlm_data.phantom.patient import Patient, Study, draw_patient
from fvlm_data.phantom.reports import Report, abdomen_text, chest_row, compose

Composed = list[tuple[Patient, Study, Report]]
NEGATIVE = re.compile(r"\b(no|not|without|none|normal|thin)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def composed() -> Composed:
    """The reports of 400 patients, without images."""
    return [
        (patient, study, compose(patient, study))
        for patient in (draw_patient(7, index) for index in range(400))
        for study in patient.studies
    ]


def split_text(study: Study, report: Report) -> tuple[str, str]:
    """Findings text and impression text of a report as written to file."""
    rng = stream(7, study.patient, 16, study.order)
    if study.protocol == "chest":
        row = chest_row(report, rng)
        return row["Findings_EN"], row["Impressions_EN"]
    findings, impression = re.split(
        r"\n(?:IMPRESSION|CONCLUSION|Impression):\n", abdomen_text(report, rng)
    )
    return findings.split("FINDINGS:\n")[1], impression


def test_each_reported_finding_has_its_sentence_where_the_truth_says(composed: Composed) -> None:
    for _, study, report in composed:
        findings, impression = split_text(study, report)
        for name, mention in report.mentions.items():
            where = impression if mention.section == "impression" else findings
            assert mention.sentence in where, name
            assert bool(NEGATIVE.search(mention.sentence)) or not mention.negated, name


def test_present_findings_are_never_denied_and_rarely_missed(composed: Composed) -> None:
    counts: Counter[str] = Counter()
    for _, study, report in composed:
        for name in study.findings:
            mention = report.mentions.get(name)
            assert mention is None or not mention.negated
            counts["missed" if mention is None else "hedged" if mention.hedged else "told"] += 1
        for name, mention in report.mentions.items():
            if name not in study.findings:
                assert mention.negated or mention.hedged
                counts["denied" if mention.negated else "supposed"] += 1
    present = counts["missed"] + counts["hedged"] + counts["told"]
    assert 0.02 < counts["missed"] / present < 0.08
    assert 0.05 < counts["hedged"] / present < 0.15
    assert counts["denied"] > 500
    assert 0 < counts["supposed"] < 0.05 * present


def test_findings_stand_in_findings_alone_often(composed: Composed) -> None:
    sections = Counter(
        mention.section
        for _, _, report in composed
        for mention in report.mentions.values()
        if not mention.negated
    )
    assert min(sections[name] for name in ("findings", "impression", "both")) > 100
    assert sections["findings"] > 2 * sections["impression"]


def test_prevalences_are_those_of_a_hospital(composed: Composed) -> None:
    imaged: Counter[str] = Counter()
    present: Counter[str] = Counter()
    abnormal: Counter[str] = Counter()
    for _, study, _ in composed:
        imaged.update(study.imaged)
        present.update(study.findings.keys())
        abnormal.update({KIND[name].anatomy for name in study.findings})
    for kind in KINDS:
        share = present[kind.finding] / imaged[kind.anatomy]
        assert 0.035 < share < 0.16, (kind.finding, share)
    assert sum(abnormal.values()) < 0.35 * sum(imaged.values())


def test_states_follow_what_is_said(composed: Composed) -> None:
    states = Counter(
        (anatomy in study.imaged, report.state(anatomy))
        for _, study, report in composed
        for anatomy in ANATOMIES
    )
    assert set(states) == {
        (False, "not_mentioned"),
        (True, "abnormal"),
        (True, "normal_stated"),
        (True, "not_mentioned"),
    }
    assert min(states.values()) > 500


def test_texts_are_varied_and_well_formed(composed: Composed) -> None:
    told: dict[str, set[str]] = {kind.finding: set() for kind in KINDS}
    for _, study, report in composed:
        text = " ".join(split_text(study, report))
        assert not re.search(r"[{}|]| {2}|None mm|\.\.", text), text
        assert "bilateral side" not in text
        assert not re.search(r"\ba (8|11|18) ", text), text
        for name, mention in report.mentions.items():
            told[name].add(re.sub(r"[\d.]+ [cm]m", "#", mention.sentence))
    assert min(len(texts) for texts in told.values()) >= 5


def test_some_reports_name_the_patient(composed: Composed) -> None:
    named = [(patient, report) for patient, _, report in composed if report.names_patient]
    assert 10 < len(named) < 100
    for patient, report in named:
        assert patient.name.split("^")[0] in report.clinical


def test_files_and_truth_agree(phantom: Path) -> None:
    truth = pq.read_table(phantom / "truth.parquet").to_pylist()
    texts = {}
    for name, column in (
        ("reports_chest.csv", "StudyInstanceUID"),
        ("reports_abdomen.csv", "study_uid"),
    ):
        with (phantom / name).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                texts[row[column]] = "\n".join(row.values())
    studies = {row["study_uid"] for row in truth}
    assert set(texts) <= studies
    assert len(truth) == len(KINDS) * len(studies)
    for row in truth:
        assert row["has_report"] == (row["study_uid"] in texts)
        assert (row["sentence"] is None) == (row["section"] == "none")
        if row["sentence"] is not None:
            assert row["sentence"] in texts[row["study_uid"]]
        assert row["imaged"] or not row["present"]
