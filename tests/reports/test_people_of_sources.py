"""Everybody whom a FHIR, SR or HL7 report or a table's row leads to is scrubbed from its text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from fvlm_data.reports.scrubbing.scrub import scrub
from fvlm_data.reports.sources.dicom_sr import read_dicom_sr
from fvlm_data.reports.sources.fhir import read_fhir
from fvlm_data.reports.sources.hl7_v2 import read_hl7
from fvlm_data.reports.sources.options import ReadOptions
from fvlm_data.reports.sources.tables import CSV
from fvlm_data.vocabulary import Vocabulary
from tests.reports.sr_files import text_item, write_sr

EN = Vocabulary.load()


def left(rows: Any) -> str:
    (row,) = rows
    text = "".join(row.columns.values())
    return scrub(text, row.identities, EN).text


def test_fhir(tmp_path: Path):
    """A relative, the general practitioner, who asked for it, who observed, each by reference."""
    name = {"family": "Wackelbart", "given": ["Rumpold"]}
    resources = [
        {
            "resourceType": "Patient", "id": "p", "name": [{"family": "Quellbach"}],
            "contact": [{"name": name, "telecom": [{"value": "0555-1234567"}]}],
            "generalPractitioner": [{"display": "Zimtstern Olaf"}],
        },
        {"resourceType": "ServiceRequest", "id": "s", "requester": {"reference": "Practitioner/d"}},
        {"resourceType": "Practitioner", "id": "d", "name": [{"text": "Gundula Federhut"}]},
        {
            "resourceType": "Observation", "id": "o", "performer": [{"display": "Ivo Nowotnybeck"}],
            "code": {"text": "Findings"}, "valueString": "No nodule.",
        },
        {
            "resourceType": "DiagnosticReport", "id": "r", "status": "final",
            "subject": {"reference": "Patient/p"}, "basedOn": [{"reference": "ServiceRequest/s"}],
            "result": [{"reference": "Observation/o"}],
            "conclusion": "Quellbach is well; Wackelbart knows. Zimtstern and Federhut asked, "
            "Nowotnybeck read it. Lungs clear.",
        },
    ]  # fmt: skip
    path = tmp_path / "x.json"
    entries = [{"resource": one} for one in resources]
    path.write_text(json.dumps({"resourceType": "Bundle", "entry": entries}), encoding="utf-8")
    text = left(read_fhir(path, ReadOptions()))
    assert "[NAME] is well; [NAME] knows. [NAME] and [NAME] asked, [NAME] read it. Lungs" in text


def test_sr(tmp_path: Path):
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = "Zimtstern^Olaf", "Quellenhof"
    text = "Zimtstern of Quellenhof read it. No nodule."
    path = write_sr(
        tmp_path / "x.dcm", text_item("Findings", text), VerifyingObserverSequence=[observer]
    )
    assert "[NAME] of [NAME] read it. No nodule." in left(read_dicom_sr(path, ReadOptions()))


@pytest.mark.parametrize(
    "segment",
    [
        "PD1|||Clinic|77^Zimtstern^Olaf",
        "ROL|1|AD|AT|77^Zimtstern^Olaf",
        "PV1|1|O" + "|" * 50 + "77^Zimtstern^Olaf",
        "NK1|1|X^Y|SPO" + "|" * 27 + "Zimtstern^Olaf",
    ],
)
def test_hl7(tmp_path: Path, segment: str):
    path = tmp_path / "x.hl7"
    path.write_text(
        f"MSH|^~\\&|R|H|F|H|2021||ORU^R01|1|P|2.5\rPID|1||P1||Doe^Jo\r{segment}\r"
        "OBR|1|P|A1|CT^CT|||2021||||||||||||||||||F\r"
        "OBX|1|TX|1^X||Zimtstern and Federhut agree. No nodule.||||||F|||||9^Federhut^Gundula\r",
        encoding="utf-8",
    )
    assert left(read_hl7(path, ReadOptions())) == "[NAME] and [NAME] agree. No nodule."


@pytest.mark.parametrize(
    "column", ["Ordering Physician", "attending", "maiden_name", "next of kin", "Technologist"]
)
def test_a_column_of_people(tmp_path: Path, column: str):
    path = tmp_path / "x.csv"
    path.write_text(f"accession,report,{column}\n1,Zimtstern agrees. No nodule.,Olaf Zimtstern\n")
    assert left(CSV.read(path, ReadOptions())) == "[NAME] agrees. No nodule."


def test_what_names_a_kind_of_file_may_be_a_name(tmp_path: Path):
    """Neither a suffix nor a SOP class is told that nobody knows."""
    from fvlm_data.reports.sources import read_reports

    path = write_sr(tmp_path / "x.dcm", sop_class="1.2.3.17676767.9")
    (row,) = read_dicom_sr(path, ReadOptions())
    assert "17676767" not in str(row.fault)
    (tmp_path / "report.mustermann").write_text("x")
    told = [row.fault for row in read_reports(tmp_path)]
    assert len(told) == 2
    assert "mustermann" not in str(told).lower()
