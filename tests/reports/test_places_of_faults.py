"""Faults say where a report stands: as whoever opens the file counts, from 1."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fvlm_data.reports.discovery import discover_reports
from fvlm_data.reports.sources import read_reports
from tests.reports.driven import made, ran

MSH = "MSH|^~\\&|RIS|H|X|H|20240105||ORU^R01|1|P|2.5.1"
OBR = "OBR|1|A1|A1|CT^CT chest|||20240105"


def places(path: Path) -> list[str]:
    """Places of the reports of a file that are set aside, read from their details."""
    return [row.fault[2].split(": ")[0] for row in read_reports(path) if row.fault is not None]


def file(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("study_uid,report\n1.2,a,b\n", ["row 2"]),
        ("study_uid,report\r\n1.1,fine\r\n\r\n1.2,a,b\r\n", ["row 4"]),
        ("sep=;\nstudy_uid;report\n1.2;a;b\n", ["row 2 (line 3)"]),
        ('study_uid,report\n1.1,"two\nlines"\n1.2,a,b\n', ["row 3 (line 4)"]),
        ('study_uid,report\n1.1,"of\ntwo lines",b\n1.2,fine\n', ["row 2 (lines 2 to 3)"]),
        ('study_uid,report\n1.2.3,fine\n1.2.4,"open\n1.2.5,fine\n', ["row 3 (lines 3 to 4)"] * 2),
        ('study_uid,report\n1.1,"a "quoted" word"\n1.2,a,b\n', ["row 2", "row 3"]),
    ],
)  # fmt: skip
def test_csv_rows_count_as_in_a_spreadsheet(tmp_path: Path, content: str, expected: list[str]):
    assert places(file(tmp_path, "r.csv", content)) == expected


def test_lines_of_json(tmp_path: Path):
    whole = json.dumps({"study_uid": "1.2", "report": "fine"})
    assert places(file(tmp_path, "r.jsonl", f"{whole}\n\n{{broken\n[1]\n")) == ["row 3", "row 4"]


def test_rows_of_parquet_count_from_one(tmp_path: Path):
    path = tmp_path / "r.parquet"
    texts = ["fine", "#NAME?", "fine"]
    pq.write_table(pa.table({"study_uid": ["1.1", "1.2", "1.3"], "report": texts}), path)
    assert places(path) == ["row 2"]


def test_rows_of_a_sheet_are_those_that_it_shows(tmp_path: Path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active["A3"], book.active["B3"] = "study_uid", "report"
    book.active["A4"], book.active["B4"] = "1.2", "fine"
    book.active["A7"], book.active["B7"], book.active["C7"] = "1.3", "fine", "beside"
    second = book.create_sheet("more")
    for row in (("study_uid", "report"), ("1.4", "fine"), ("1.5", "#REF!")):
        second.append(row)
    book.save(tmp_path / "r.xlsx")
    assert places(tmp_path / "r.xlsx") == ["sheet 1, row 7", "sheet 2, row 3"]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_messages_of_hl7_and_their_lines(tmp_path: Path, end: str):
    good = [MSH, "PID|1||P1", OBR, "OBX|1|TX|GDT||Liver cyst."]
    torn = [MSH, "PID|1||P1", OBR, "OBX|1|TX|GDT||One | two"]
    orders = [*good, "OBR|2|A2|A2|CT^CT abdomen", "OBX|1|TX|GDT||One | two"]
    acknowledged = [MSH.replace("ORU^R01", "ACK"), "MSA|AA|1"]
    lines = [*good, *torn, *acknowledged, *orders]
    assert places(file(tmp_path, "r.hl7", end.join(lines))) == [
        "message 2 (line 5)",
        "message 3 (line 9)",
        "message 4 (line 11), order 2",
    ]


def test_reports_of_a_bundle(tmp_path: Path):
    reports = [
        {"resourceType": "DiagnosticReport", "status": "final", "conclusion": "Fine."},
        {"resourceType": "Patient", "id": "p"},
        {"resourceType": "DiagnosticReport", "status": "preliminary", "conclusion": "Fine."},
    ]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": one} for one in reports]}
    assert places(file(tmp_path, "r.json", json.dumps(bundle))) == ["report 2"]
    assert places(file(tmp_path, "s.json", "{")) == ["the file"]
    assert places(file(tmp_path, "t.dcm", "no DICOM")) == ["the file"]


def test_what_the_store_tells_counts_alike(tmp_path: Path):
    """Rows without text, without a study, and repeated ones, as those that cannot be read."""
    text = 'study_uid,report\n1.1,"two\nlines"\n,nobody\n1.3,\n1.1,"two\nlines"\n1.5,a,b\n'
    config = made(tmp_path, {"path": file(tmp_path, "r.csv", text)})
    context = ran(config)
    discover_reports(context, config.reports, config.identity.source_names)
    told = {
        row["reason"]: row["detail"].split(": ")[0]
        for row in context.store.read("quarantine").to_pylist()
    }
    assert told == {
        "no_link": "row 3 (line 4)",
        "empty_report": "row 4 (line 5)",
        "same_report": "row 5 (lines 6 to 7)",
        "broken_row": "row 6 (line 8)",
    }


def test_a_mapping_counts_alike(tmp_path: Path):
    reports = file(tmp_path, "r.csv", "study_uid,report\n1.2,x\n")
    mapping = file(tmp_path, "m.csv", "study_uid,accession\n1.2,A1\n1.3,A2,A3\n")
    with pytest.raises(Exception, match=r"m\.csv: row 3: 3 cells, expected 2"):
        list(read_reports(reports, mapping=mapping))
