"""A corrected report is used in the place of the one that it corrects, which is set aside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fvlm_data.identity.ids import link_key
from fvlm_data.inspect.verify import verify
from fvlm_data.run.curate import curate
from fvlm_data.run.records import open_context
from tests.core.hand_store import link, volume
from tests.reports.driven import made, ran, studies_of, unplaced
from tests.reports.sr_files import text_item, write_sr
from tests.reports.test_sources import ORU, diagnostic_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context

FIRST, SECOND = "Liver cyst.", "Liver metastasis."
STUDY = {
    "resourceType": "ImagingStudy",
    "id": "s1",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"}],
}


PAIRED = ("versions", "match", "reports", "split", "pair")


def paired(config: Config) -> Context:
    curate(config, PAIRED)
    return open_context(config, create=False)


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


def write_fhir_appended(folder: Path) -> None:
    (folder / "1.json").write_text(fhir(FIRST, "final"))
    (folder / "2.json").write_text(fhir(f"{FIRST} {SECOND}", "appended"))


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
        write_fhir_corrected, write_fhir_appended, write_sr_files,
        write_table_of_statuses, write_table_of_ids, write_first_words,
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
    assert studies_of(context, report["report_id"]) == ["st_1"]
    (aside,) = context.store.read("quarantine").to_pylist()
    assert (aside["kind"], aside["reason"]) == ("superseded", "corrected_report")
    assert report["report_id"] in aside["detail"]
    assert aside["item"] != report["report_id"]
    assert unplaced(context) == []


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


def test_a_correction_that_finds_its_document_leaves_others_of_its_request(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.hl7").write_text(hl7(FIRST))
    (folder / "2.hl7").write_text(hl7(SECOND, "C", at="20210306"))
    (folder / "chest.csv").write_text("accession,report\nA1,Emphysema of the lungs.\n")
    context = ran(made(tmp_path, {"path": folder}))
    texts = " ".join(context.store.read("reports")["text"].to_pylist())
    assert "Emphysema" in texts
    assert FIRST not in texts


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


LONG = "FINDINGS:\n{}\nIMPRESSION:\n{}"
FOUND = (
    "The lungs are clear without nodules.\nThe heart is of normal size.\n"
    "No pleural effusion on either side.\nThe aorta is not dilated."
)
ABDOMEN = (
    "The liver is unremarkable throughout.\nThe spleen is not enlarged.\n"
    "No hydronephrosis on either side.\nThe pancreas is without lesions."
)


def withdrawn_hl7(folder: Path) -> None:
    (folder / "1.hl7").write_text(hl7(FIRST))
    (folder / "2.hl7").write_text(hl7(FIRST, "W", at="20210306"))


def withdrawn_hl7_results(folder: Path) -> None:
    (folder / "1.hl7").write_text(hl7(FIRST))
    (folder / "2.hl7").write_text(hl7("Wrong patient.", observed="D", at="20210306"))


def withdrawn_hl7_without_results(folder: Path) -> None:
    (folder / "1.hl7").write_text(hl7(FIRST))
    lines = hl7(FIRST, "D", at="").replace("20210304||ORU", "20210306||ORU").split("\r")
    (folder / "2.hl7").write_text("\r".join(line for line in lines if not line.startswith("OBX")))


def withdrawn_fhir(folder: Path) -> None:
    (folder / "1.json").write_text(fhir(FIRST, "final"))
    (folder / "2.json").write_text(fhir(FIRST, "entered-in-error"))


def withdrawn_fhir_corrected(folder: Path) -> None:
    (folder / "1.json").write_text(fhir("Liver stone.", "final"))
    (folder / "2.json").write_text(fhir(FIRST, "corrected", "2021-03-06"))
    changed = {"lastUpdated": "2021-03-07T10:00:00Z"}
    (folder / "3.json").write_text(fhir("", "entered-in-error", "2021-03-05", meta=changed))


def withdrawn_table(folder: Path) -> None:
    rows = f"1.2.3.4,{FIRST},final\n1.2.3.4,{FIRST},withdrawn\n"
    (folder / "r.csv").write_text("study_uid,report,report_status\n" + rows)


def withdrawn_in_words(folder: Path) -> None:
    (folder / "1.hl7").write_text(hl7(FIRST))
    (folder / "2.hl7").write_text(hl7("*** REPORT WITHDRAWN *** Liver metastasis.", at="20210306"))


@pytest.mark.parametrize(
    "write",
    [
        withdrawn_hl7, withdrawn_hl7_results, withdrawn_hl7_without_results, withdrawn_fhir,
        withdrawn_fhir_corrected, withdrawn_table, withdrawn_in_words,
    ],
)  # fmt: skip
def test_a_withdrawn_report_is_not_used(tmp_path: Path, write: Callable[[Path], None]):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    config = made(tmp_path, {"path": tmp_path / "in"})
    images_arrive(open_context(config, create=True))
    context = ran(config)
    assert context.store.read("reports").to_pylist() == []
    assert context.store.read("findings").to_pylist() == []
    aside = context.store.read("quarantine", [], [("stage", "=", "reports")]).to_pylist()
    (withdrawal,) = (row for row in aside if row["reason"] == "withdrawal")
    assert withdrawal["kind"] == "out_of_scope"
    others = [row for row in aside if row is not withdrawal]
    assert {(row["kind"], row["reason"]) for row in others} == {("superseded", "withdrawn_report")}
    assert all(withdrawal["item"] in row["detail"] for row in others)
    assert len(aside) == len(context.store.read("inputs"))


def test_a_withdrawal_takes_out_what_was_used_before(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.hl7").write_text(hl7(FIRST))
    config = made(tmp_path, {"path": folder})
    images_arrive(open_context(config, create=True))
    context = paired(config)
    texts = context.store.read("anatomy_texts", ["anatomy", "findings"]).to_pylist()
    liver = next(row["findings"] for row in texts if row["anatomy"] == "liver")
    assert [name for name in liver if "cyst" in name]
    (folder / "2.hl7").write_text(hl7(FIRST, "W", at="20210306"))
    context = paired(config)
    for table in ("reports", "findings", "study_reports", "anatomy_texts"):
        assert context.store.read(table).to_pylist() == [], table
    assert context.store.read("waiting")["owner_kind"].to_pylist() == ["study"]
    (reports,) = (one for one in verify(context.store) if "of the reports" in one.name)
    assert reports.passed


@pytest.mark.parametrize(
    ("report", "withdrawal"),
    [
        (hl7(SECOND, at="20210307"), hl7(FIRST, "W", at="20210306")),
        (hl7(FIRST, code="CTCHEST"), hl7(FIRST, "W", code="CTABD")),
        (hl7(FIRST), hl7(FIRST, "W").replace("PAT-77001", "PAT-77002")),
        (hl7(FIRST), hl7(FIRST, "W").replace("A1^RIS", "A2^RIS").replace("|PL1|", "|PL2|")),
        (hl7(FIRST), hl7(FIRST, "W").replace("&GDT", "&ADT")),
        (hl7(FIRST), hl7(FIRST, "X", at="20210306")),
    ],
    ids=["later", "other procedure", "other patient", "other order", "addendum", "order cancelled"],
)
def test_a_withdrawal_takes_back_no_other_report(tmp_path: Path, report: str, withdrawal: str):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.hl7").write_text(report)
    (tmp_path / "in" / "2.hl7").write_text(withdrawal)
    context = ran(made(tmp_path, {"path": tmp_path / "in"}))
    assert len(context.store.read("reports")) == 1
    (aside,) = context.store.read("quarantine").to_pylist()
    assert aside["kind"] == "out_of_scope"


def test_a_withdrawn_fhir_report_leaves_the_other_of_its_study(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.json").write_text(fhir(FIRST, "final"))
    (tmp_path / "in" / "2.json").write_text(fhir(SECOND, "final", "2021-03-06", id="rep2"))
    (tmp_path / "in" / "3.json").write_text(fhir("", "entered-in-error", "2021-03-07", id="rep2"))
    context = ran(made(tmp_path, {"path": tmp_path / "in"}))
    (report,) = context.store.read("reports").to_pylist()
    assert FIRST in report["text"]


def test_an_addendum_is_withdrawn_alone_and_with_its_report(tmp_path: Path):
    (tmp_path / "in").mkdir()
    addendum = hl7("Also a cyst.", at="20210306").replace("&GDT", "&ADT")
    (tmp_path / "in" / "1.hl7").write_text(hl7(FIRST))
    (tmp_path / "in" / "2.hl7").write_text(addendum)
    taken = hl7("Also a cyst.", "W", at="20210307").replace("&GDT", "&ADT")
    (tmp_path / "in" / "3.hl7").write_text(taken)
    config = made(tmp_path, {"path": tmp_path / "in"})
    (report,) = ran(config).store.read("reports").to_pylist()
    assert FIRST in report["text"]
    (tmp_path / "in" / "4.hl7").write_text(hl7(FIRST, "W", at="20210308"))
    assert ran(config).store.read("reports").to_pylist() == []


def test_a_deleted_result_is_left_out_of_the_others(tmp_path: Path):
    (tmp_path / "in").mkdir()
    lines = hl7(FIRST, "C").split("\r")
    wrong = "OBX|2|TX|1^CT&IMP||Liver metastasis.||||||D"
    (tmp_path / "in" / "1.hl7").write_text("\r".join([*lines[:4], wrong, *lines[4:]]))
    context = ran(made(tmp_path, {"path": tmp_path / "in"}))
    (report,) = context.store.read("reports").to_pylist()
    assert FIRST in report["text"]
    assert "metastasis" not in report["text"]


def table_of(folder: Path, *rows: tuple[str, str, str]) -> Path:
    """Reports (accession, time, text) of one patient without id or status."""
    named = ({"accession": a, "patient_id": "P1", "issued": at, "report": t} for a, at, t in rows)
    folder.mkdir(exist_ok=True)
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, named)))
    return folder


def test_a_later_report_that_repeats_the_first_one_is_used_alone(tmp_path: Path):
    first = LONG.format(FOUND, "Normal chest without findings.")
    second = LONG.format(FOUND.replace("without nodules", "but for a 5 mm nodule"), "Lung nodule.")
    rows = (("A1", "2021-03-06", second), ("A1", "2021-03-05", first))
    context = ran(made(tmp_path, {"path": table_of(tmp_path / "in", *rows)}))
    (report,) = context.store.read("reports").to_pylist()
    assert "5 mm nodule" in report["text"]
    (aside,) = context.store.read("quarantine").to_pylist()
    assert (aside["kind"], aside["reason"]) == ("superseded", "repeated_report")
    assert report["report_id"] in aside["detail"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("A1", "2021-03-05", FOUND), ("A1", "2021-03-06", ABDOMEN)),
        (("A1", "2021-03-05", FOUND), ("A1", "2021-03-05", FOUND + "\nNo rib fracture seen.")),
        (("A1", "", FOUND), ("A1", "2021-03-06", FOUND + "\nNo rib fracture seen.")),
        (("A1", "2021-03-05", FOUND), ("A2", "2021-03-06", FOUND + "\nNo rib fracture seen.")),
        (("A1", "2021-03-05", FOUND), ("A1", "2021-03-06", f"Addendum: seen again.\n{FOUND}")),
        (
            ("A1", "2021-03-05", f"TECHNIQUE:\n{FOUND}\nFINDINGS:\nLiver cyst of 2 cm."),
            ("A1", "2021-03-06", f"TECHNIQUE:\n{FOUND}\nFINDINGS:\nLung nodule of 5 mm."),
        ),
    ],
    ids=["part", "same time", "time unknown", "other accession", "addendum", "same technique"],
)
def test_parts_and_what_may_be_one_are_both_used(
    tmp_path: Path, first: tuple[str, str, str], second: tuple[str, str, str]
):
    context = ran(made(tmp_path, {"path": table_of(tmp_path / "in", first, second)}))
    assert len(context.store.read("reports")) == 2
    assert context.store.read("quarantine").to_pylist() == []


def test_what_may_be_versions_is_shown_and_counted(tmp_path: Path):
    (tmp_path / "in").mkdir()
    texts = (FOUND, ABDOMEN, f"ADDENDUM: {SECOND}")
    for number, text in enumerate(texts):
        content = fhir(text, "final", f"2021-03-0{number + 5}", id=f"rep{number}")
        (tmp_path / "in" / f"{number}.json").write_text(content)
    config = made(tmp_path, {"path": tmp_path / "in"})
    images_arrive(open_context(config, create=True))
    summary = curate(config, PAIRED)
    assert summary.tables["reports"] == 3
    assert summary.cross_checks == {"weak:unclear_versions": 1}
    context = open_context(config, create=False)
    (check,) = context.store.read("cross_checks").to_pylist()
    known = context.store.read("study_reports").sort_by("order")["report_id"].to_pylist()
    assert check["said"].split() == known[:2]
    assert [source.split(":")[0] for source in check["sources"]] == known[:2]
    assert len(context.store.read("study_reports")) == 3
    (reports,) = (one for one in verify(context.store) if "of the reports" in one.name)
    assert reports.passed
