"""A corrected report is used in the place of the one that it corrects, which is set aside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fvlm_data.identity import link_key
from fvlm_data.runs import open_context
from fvlm_data.verify import verify
from tests.core.hand_store import link, volume
from tests.reports.sr_files import text_item, write_sr
from tests.reports.test_sources import ORU, diagnostic_report
from tests.reports.test_stage import made, ran

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fvlm_data.stage import Context

FIRST, SECOND = "Liver cyst.", "Liver metastasis."
STUDY = {
    "resourceType": "ImagingStudy",
    "id": "s1",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"}],
}


def hl7(text: str, status: str = "F", observed: str = "", at: str = "20210305", code: str = "CT"):
    message = ORU.format(charset="", status="").replace("|||||20210305||F|", f"|||||{at}||F|")
    lines = message.replace("|F|\r", f"|CT|{status}\r").replace("CT^CT", f"{code}^CT").split("\r")
    kept = [line for line in lines if line and not line.startswith("OBX")]
    result = f"OBX|1|TX|1^CT&GDT||{text}||||||{observed}"
    return "\r".join([*kept[:3], result, *kept[3:]]) + "\r"


def fhir(text: str, status: str, at: str = "2021-03-05", **more: Any) -> str:
    report = diagnostic_report(status=status, conclusion=text, issued=at, contained=[STUDY], **more)
    return json.dumps({**report, "imagingStudy": [{"reference": "#s1"}]})


def write_hl7(folder: Path) -> None:
    (folder / "1.hl7").write_text(hl7(FIRST))
    (folder / "2.hl7").write_text(hl7(SECOND, "C"))


def write_hl7_results(folder: Path) -> None:
    (folder / "1.hl7").write_text(hl7(FIRST))
    (folder / "2.hl7").write_text(hl7(SECOND, observed="C"))


def write_hl7_sent_again(folder: Path) -> None:
    (folder / "1.hl7").write_text(hl7(SECOND, at="202103061130"))
    (folder / "2.hl7").write_text(hl7(FIRST, at="202103060900"))


def write_fhir_amended(folder: Path) -> None:
    (folder / "1.json").write_text(fhir(FIRST, "final"))
    (folder / "2.json").write_text(fhir(SECOND, "amended", "2021-03-06"))


def write_fhir_corrected(folder: Path) -> None:
    (folder / "1.json").write_text(fhir(FIRST, "final"))
    (folder / "2.json").write_text(fhir(SECOND, "corrected", id="rep2"))


def write_sr_files(folder: Path) -> None:
    import pydicom

    first = pydicom.dcmread(write_sr(folder / "1.dcm", text_item("Report", FIRST)))
    instance, series, study = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    instance.ReferencedSOPClassUID = first.SOPClassUID
    instance.ReferencedSOPInstanceUID = first.SOPInstanceUID
    series.ReferencedSOPSequence = pydicom.Sequence([instance])
    study.ReferencedSeriesSequence = pydicom.Sequence([series])
    write_sr(
        folder / "2.dcm",
        text_item("Report", SECOND),
        PredecessorDocumentsSequence=pydicom.Sequence([study]),
    )


def write_table_of_statuses(folder: Path) -> None:
    rows = f"1.2.3.4,{FIRST},final\n1.2.3.4,{SECOND},Corrected\n"
    (folder / "r.csv").write_text("study_uid,report,report_status\n" + rows)


def write_table_of_ids(folder: Path) -> None:
    rows = f"1.2.3.4,{SECOND},7,2021-03-06\n1.2.3.4,{FIRST},7,2021-03-05\n"
    (folder / "r.csv").write_text("study_uid,report,report_id,issued\n" + rows)


def write_first_words(folder: Path) -> None:
    row = {"study_uid": "1.2.3.4", "report": FIRST}
    words = {**row, "report": f"*** CORRECTED REPORT ***\n{SECOND}"}
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, (words, row))))


def images_arrive(context: Context) -> None:
    """The study 1.2.3.4 of patient PAT-77001, as ingest would have left it."""
    key = context.vault.key
    rows = [
        link(owner, named, kind, link_key(kind, value, key=key), "se_1")
        for owner, named, kind, value in (
            ("study", "st_1", "study_uid", "1.2.3.4"),
            ("patient", "p_1", "patient_id", "PAT-77001"),
        )
    ]
    context.store.replace("links", ["se_1"], rows)
    context.store.replace("volumes", ["st_1"], [volume(1, "st_1", "p_1")])


@pytest.mark.parametrize(
    "write",
    [
        write_hl7, write_hl7_results, write_hl7_sent_again, write_fhir_amended,
        write_fhir_corrected, write_sr_files, write_table_of_statuses, write_table_of_ids,
        write_first_words,
    ],
)  # fmt: skip
def test_the_corrected_report_is_paired(tmp_path: Path, write: Callable[[Path], None]):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    config = made(tmp_path, {"path": tmp_path / "in"})
    images_arrive(open_context(config, create=True))
    context = ran(config)
    (report,) = context.store.read("reports").to_pylist()
    assert SECOND in report["text"]
    (pair,) = context.store.read("study_reports").to_pylist()
    assert pair["report_id"] == report["report_id"]
    (aside,) = context.store.read("quarantine").to_pylist()
    assert (aside["kind"], aside["reason"]) == ("superseded", "corrected_report")
    assert report["report_id"] in aside["detail"]
    assert aside["item"] != report["report_id"]
    (reports,) = (one for one in verify(context.store) if "of the reports" in one.name)
    assert reports.passed


@pytest.mark.parametrize("late", ["1.hl7", "2.hl7"])
def test_whichever_comes_first(tmp_path: Path, late: str):
    folder = tmp_path / "in"
    folder.mkdir()
    write_hl7(folder)
    kept = (folder / late).read_text()
    (folder / late).unlink()
    config = made(tmp_path, {"path": folder})
    images_arrive(open_context(config, create=True))
    assert len(ran(config).store.read("reports")) == 1
    (folder / late).write_text(kept)
    context = ran(config)
    (report,) = context.store.read("reports").to_pylist()
    assert SECOND in report["text"]
    findings = set(context.store.read("findings")["finding"].to_pylist())
    assert findings == {"liver_metastasis"}
    texts = context.store.read("anatomy_texts", ["anatomy", "findings"]).to_pylist()
    liver = next(row["findings"] for row in texts if row["anatomy"] == "liver")
    assert [name for name in liver if "metastasis" in name]
    assert not [name for name in liver if "cyst" in name]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (hl7(FIRST, code="CTCHEST"), hl7(SECOND, "C", code="CTABD")),
        (hl7(FIRST), hl7(SECOND, "C").replace("PAT-77001", "PAT-77002")),
        (hl7(FIRST), hl7(SECOND, "C").replace("&GDT", "&ADT")),
        (hl7(FIRST), hl7(SECOND)),
    ],
    ids=["other procedure", "other patient", "addendum", "same time"],
)
def test_what_is_no_later_version_replaces_nothing(tmp_path: Path, first: str, second: str):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.hl7").write_text(first)
    (tmp_path / "in" / "2.hl7").write_text(second)
    context = ran(made(tmp_path, {"path": tmp_path / "in"}))
    assert len(context.store.read("reports")) == 2
    assert context.store.read("quarantine").to_pylist() == []


def test_a_table_tells_what_is_not_final(tmp_path: Path):
    file = tmp_path / "r.csv"
    file.write_text("study_uid,report,report_status\n1,Liver cyst.,P\n2,Liver cyst.,F\n")
    context = ran(made(tmp_path, {"path": file}))
    assert len(context.store.read("reports")) == 1
    (aside,) = context.store.read("quarantine").to_pylist()
    assert (aside["kind"], aside["reason"]) == ("out_of_scope", "preliminary_report")


def test_all_versions_but_the_last_are_set_aside(tmp_path: Path):
    (tmp_path / "in").mkdir()
    for day in range(1, 5):
        text = f"Liver cyst of {day} cm."
        (tmp_path / "in" / f"{9 - day}.hl7").write_text(hl7(text, "C", at=f"2021030{day}"))
    context = ran(made(tmp_path, {"path": tmp_path / "in"}))
    (report,) = context.store.read("reports").to_pylist()
    assert "4 cm" in report["text"]
    details = context.store.read("quarantine")["detail"].to_pylist()
    assert len(details) == 3
    assert all(report["report_id"] in detail for detail in details)
