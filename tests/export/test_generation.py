"""Records from which a report can be written: image, what was known before, and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fvlm_data.export import EXPORTS
from fvlm_data.export.run import Form, run_tables_export
from fvlm_data.store.tables import Store
from schemas import AnatomyText, ClinicalValue, Report
from tests.export.over_time import Visit, made_store, parser, visit

FIRST = (
    "CLINICAL INFORMATION: Cough.\nTECHNIQUE: Contrast-enhanced CT.\n"
    "FINDINGS: 12 mm nodule in the right upper lobe. No pleural effusion.\nIMPRESSION: Nodule."
)
SECOND = (
    "HISTORY: Follow-up of a nodule.\nFINDINGS: The nodule measures 15 mm.\nIMPRESSION: Growth."
)


def store_of(folder: Path, *visits: Visit, splits: dict[str, str] | None = None) -> Store:
    given = {one.patient: "train" for one in visits} if splits is None else splits
    store = made_store(folder, *visits, splits=given)
    store.replace_all("reports", [
        Report(report_id=f"r_{one.study}_{order}", text=text, source_files=("f_1",), sections=tuple(
            {"name": part.name, "start": part.start, "end": part.end}
            for part in parser().parse(text).sections
        ))
        for one in visits for order, text in enumerate(one.texts)
    ])  # fmt: skip
    return store


def exported(store: Store, folder: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    entry = EXPORTS.load("report-generation")
    form = Form("report-generation", entry, entry.options())
    run_tables_export(store, form, folder, lambda _done, _total: None)
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], json.loads((folder / "summary.json").read_text())


def test_context_and_targets_are_kept_apart(tmp_path: Path):
    store = store_of(tmp_path, visit("st_1", "2020-01-01", FIRST))
    store.replace_all("anatomy_texts", [
        AnatomyText(study_id="st_1", anatomy="lung", text="12 mm nodule.", state="abnormal",
                    signature=1, findings=(), labels=(), sources=()),
        AnatomyText(study_id="st_1", anatomy="liver", text="-", state="not_mentioned",
                    signature=0, findings=(), labels=(), sources=()),
    ])  # fmt: skip
    ((record,), summary) = exported(store, tmp_path / "out")
    assert record["context"]["clinical_information"] == "Cough."
    assert record["context"]["technique"] == "Contrast-enhanced CT."
    assert record["context"]["prior"] is None
    assert record["targets"] == {
        "findings": "12 mm nodule in the right upper lobe. No pleural effusion.",
        "impression": "Nodule.",
        "anatomies": {"lung": "12 mm nodule."},
    }
    assert "nodule" not in json.dumps(record["context"])
    assert record["split"] == "train"
    assert summary == {"records": 1, "studies": 1, "with_prior": 0}


def test_the_prior_is_the_last_earlier_study_with_a_report(tmp_path: Path):
    store = store_of(
        tmp_path,
        visit("st_1", "2020-01-01", FIRST),
        visit("st_2", "2020-02-01"),
        visit("st_3", "2020-03-01", SECOND),
        visit("st_9", "2020-02-20", FIRST, patient="p_2"),
    )
    records, summary = exported(store, tmp_path / "out")
    prior = {record["study_id"]: record["context"]["prior"] for record in records}
    assert prior["st_1"] is None
    assert prior["st_9"] is None
    assert prior["st_3"]["study_id"] == "st_1"
    assert prior["st_3"]["days"] == 60
    assert prior["st_3"]["impression"] == "Nodule."
    mentions = {(one["finding"], one["size_mm"]) for one in prior["st_3"]["mentions"]}
    assert ("lung_nodule", 12) in mentions
    assert summary == {"records": 3, "studies": 4, "with_prior": 1, "without_report": 1}


@pytest.mark.parametrize("dates", [
    ("2020-03-01", "2020-03-01"), (None, "2020-03-01"), ("2020-03-01", None),
    ("2020-04-01", "2020-03-01"),
])  # fmt: skip
def test_what_may_lie_after_the_study_is_no_context_of_it(
    tmp_path: Path, dates: tuple[str | None, str | None]
):
    other, own = dates
    store = store_of(tmp_path, visit("st_1", other, FIRST), visit("st_2", own, SECOND))
    records, _ = exported(store, tmp_path / "out")
    (mine,) = [record for record in records if record["study_id"] == "st_2"]
    assert mine["context"]["prior"] is None


def test_values_from_before_the_image_are_context_and_no_others(tmp_path: Path):
    store = store_of(tmp_path, visit("st_1", "2020-03-10", FIRST))
    store.replace_all("clinical", [
        ClinicalValue(patient_id="p_1", number=number, kind=kind, name=name, value=value, bound="",
                      unit=unit, observed_on=day, source="f_1")
        for number, (kind, name, value, unit, day) in enumerate([
            ("laboratory", "crp", 12.0, "mg/L", "2020-03-02"),
            ("laboratory", "crp", 90.0, "mg/L", "2020-03-09T23:00:00"),
            ("laboratory", "crp", 1.0, "mg/L", "2020-03-10"),
            ("vital", "heart_rate", 80.0, "/min", "2020-01-01"),
            ("vital", "body_temperature", 38.5, "Cel", "2020-03-11"),
            ("outcome", "death", 1.0, "1", "2020-03-01"),
        ])
    ])  # fmt: skip
    ((record,), _) = exported(store, tmp_path / "out")
    assert record["context"]["clinical"] == [
        {"kind": "laboratory", "name": "crp", "value": 90.0, "unit": "mg/L"}
    ]


def test_what_is_left_out_is_counted(tmp_path: Path):
    store = store_of(
        tmp_path,
        visit("st_1", None, FIRST, patient="p_1"),
        visit("st_2", None, "HISTORY: Cough.", patient="p_2"),
        splits={"p_2": "test"},
    )
    records, summary = exported(store, tmp_path / "out")
    assert records == []
    assert summary == {"records": 0, "studies": 2, "without_findings": 1, "without_split": 1}
