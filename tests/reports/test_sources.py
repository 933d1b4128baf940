from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pydicom.dataset import Dataset

from fvlm_data.reports.sources import REPORT_SOURCES, ReportSourceError, read_reports, told_columns
from tests.reports.sr_files import container, text_item, write_sr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fvlm_data.reports.sources import ReportRow


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def write_xlsx(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def only(path: Path, **options: Any) -> ReportRow:
    (row,) = read_reports(path, **options)
    return row


class SourceTests:
    """What holds for every kind: `make` writes the report \u00d6dem of study 1.2.3.4."""

    kind: str
    suffix: str

    def make(self, folder: Path, name: str) -> Path:
        raise NotImplementedError

    def test_text_and_study(self, tmp_path: Path):
        row = only(self.make(tmp_path, "1.2.3.4"))
        assert row.fault is None
        assert "\u00d6dem" in " ".join(row.columns.values())
        assert ("study_uid", "1.2.3.4", None) in row.links

    def test_kind_by_suffix_and_by_name(self, tmp_path: Path):
        path = self.make(tmp_path, "1.2.3.4")
        assert path.suffix in REPORT_SOURCES.load(self.kind).suffixes
        assert list(read_reports(path)) == list(read_reports(path, kind=self.kind))

    def test_in_a_folder(self, tmp_path: Path):
        (tmp_path / "a").mkdir()
        path = self.make(tmp_path / "a", "1.2.3.4")
        (tmp_path / ".hidden.txt").write_text("x")
        (tmp_path / "scan.pdf").write_text("x")
        second, first = read_reports(tmp_path)
        assert first.file == f"a/{path.name}"
        assert first.text == only(path).text
        assert second.file == "scan.pdf"
        assert second.fault is not None
        assert second.fault[:2] == ("out_of_scope", "unknown_kind")

    def test_mapping_file_adds_links(self, tmp_path: Path):
        path = self.make(tmp_path, "1.2.3.4")
        mapping = write(tmp_path / "map.csv", "study_uid;volume_name\n1.2.3.4;scan_9.nii.gz\n5;x\n")
        links = only(path, mapping=mapping).links
        assert ("volume_name", "scan_9.nii.gz", None) in links
        assert ("volume_name", "x", None) not in links


class TestCsv(SourceTests):
    kind = "csv"

    def make(self, folder: Path, name: str) -> Path:
        return write(folder / "r.csv", f'study_uid,report\n{name},"\u00d6dem, mild"\n')

    def test_names_of_ct_rate(self, tmp_path: Path):
        path = write(
            tmp_path / "r.csv",
            "VolumeName,ClinicalInformation_EN,Technique_EN,Findings_EN,Impressions_EN\n"
            'train_1_a_1.nii.gz,Cough,,"Clear, both lungs.",Normal.\n',
        )
        row = only(path)
        assert row.links == (("volume_name", "train_1_a_1.nii.gz", None),)
        assert row.columns == {
            "clinical_information": "Cough",
            "technique": "",
            "findings": "Clear, both lungs.",
            "impression": "Normal.",
        }
        assert row.text is None

    def test_mapped_columns(self, tmp_path: Path):
        path = write(tmp_path / "r.csv", "uid;befund\n1.2;Leber normal\n")
        assert only(path, columns={"study_uid": "uid", "report": "befund"}).text == "Leber normal"

    def test_identities_of_its_columns(self, tmp_path: Path):
        path = write(
            tmp_path / "r.csv",
            "accession,issuer,MRN,Patient_Name,DOB,report,issued\n"
            "A-1,HOSP,P7,Doe^Jane,1964-08-12,x,2021-03-04\n",
        )
        row = only(path)
        assert row.links == (("accession", "A-1", "HOSP"), ("patient_id", "P7", None))
        assert set(row.identities) == {"A-1", "P7", "Doe^Jane", "1964-08-12"}
        assert row.issued == "2021-03-04"

    def test_wrong_columns_name_the_columns_and_the_flag(self, tmp_path: Path):
        path = write(tmp_path / "r.csv", "uid,befund\n1.2,x\n")
        for columns, message in (
            ({"study_uid": "uid", "report": "text"}, r"no column 'text'.*uid, befund.*--column"),
            ({}, r"no column holds reports.*uid, befund.*--column"),
            ({"report": "befund"}, r"names a study.*--column study_uid=COLUMN"),
            ({"reprot": "befund"}, "'reprot' is none of our names"),
        ):
            with pytest.raises(ReportSourceError, match=message):
                list(read_reports(path, columns))

    def test_a_broken_row_is_set_aside_alone(self, tmp_path: Path):
        path = write(tmp_path / "r.csv", "study_uid,report\n1,a,b\n2,ok\n")
        broken, good = read_reports(path)
        assert broken.fault is not None
        assert broken.fault[1] == "broken_row"
        assert "3 cells, expected 2" in broken.fault[2]
        assert good.text == "ok"

    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le-bom"]
    )
    def test_encodings_without_being_told(self, tmp_path: Path, encoding: str):
        text = "study_uid,report\n1,\u00d6dem \u2013 3 \u00b5m\n"
        if encoding == "utf-16-le-bom":
            text, encoding = "\ufeff" + text, "utf-16-le"
        assert only(write(tmp_path / "r.csv", text, encoding)).text == "\u00d6dem \u2013 3 \u00b5m"

    def test_two_encodings_in_one_file(self, tmp_path: Path):
        path = tmp_path / "r.csv"
        lines = [b"study_uid,report\n", "1,\u015fi\u015f\n".encode(),
                 "2,\u00d6dem\n".encode("cp1252")]  # fmt: skip
        path.write_bytes(b"".join(lines))
        assert [row.text for row in read_reports(path)] == ["\u015fi\u015f", "\u00d6dem"]

    def test_a_stated_encoding(self, tmp_path: Path):
        path = write(tmp_path / "r.csv", "study_uid,report\n1,akci\u011fer\n", "cp1254")
        assert only(path, encoding="cp1254").text == "akci\u011fer"
        with pytest.raises(ReportSourceError, match="'klingon' is not known"):
            list(read_reports(path, encoding="klingon"))

    def test_text_decoded_twice_is_put_right(self, tmp_path: Path):
        twice = "\u00d6dem \u2013 gro\u00df".encode().decode("cp1252")
        path = write(tmp_path / "r.csv", f"study_uid,report\n1,{twice}\n2,\u00c3 la carte\n")
        assert [row.text for row in read_reports(path)] == [
            "\u00d6dem \u2013 gro\u00df",
            "\u00c3 la carte",
        ]


class TestParquet(SourceTests):
    kind = "parquet"

    def make(self, folder: Path, name: str) -> Path:
        path = folder / "r.parquet"
        pd.DataFrame({"StudyInstanceUID": [name], "Report_Text": ["\u00d6dem"]}).to_parquet(path)
        return path

    def test_blank_cells_and_numbers(self, tmp_path: Path):
        frame = pd.DataFrame({"accession": [7.0, None], "mrn": ["a", "b"], "text": ["x", None]})
        frame.to_parquet(tmp_path / "r.parquet")
        first, second = read_reports(tmp_path / "r.parquet")
        assert first.links == (("accession", "7", None), ("patient_id", "a", None))
        assert second.links == (("patient_id", "b", None),)
        assert second.text == ""

    def test_a_float_that_has_lost_digits(self, tmp_path: Path):
        frame = pd.DataFrame({"accession": [1676830000000001.0, 12.0], "report": ["a", "b"]})
        frame.to_parquet(tmp_path / "r.parquet")
        first, second = read_reports(tmp_path / "r.parquet")
        assert first.fault is not None
        assert first.fault[1] == "mangled_number"
        assert second.links == (("accession", "12", None),)

    def test_broken(self, tmp_path: Path):
        with pytest.raises(ReportSourceError, match="not readable as Parquet"):
            list(read_reports(write(tmp_path / "r.parquet", "no parquet")))


class TestJsonl(SourceTests):
    kind = "jsonl"

    def make(self, folder: Path, name: str) -> Path:
        line = json.dumps({"study_uid": name, "report": "\u00d6dem\nmild"}, ensure_ascii=False)
        return write(folder / "r.jsonl", line + "\n\n")

    def test_a_line_that_is_no_object_is_set_aside(self, tmp_path: Path):
        lines = '{"study_uid": 1, "report": "a"}\nnonsense\n[1]\n' + "[" * 100_000
        rows = list(read_reports(write(tmp_path / "r.jsonl", lines)))
        assert [row.fault and row.fault[1] for row in rows] == [None] + 3 * ["broken_row"]


class TestXlsx(SourceTests):
    kind = "xlsx"

    def make(self, folder: Path, name: str) -> Path:
        return write_xlsx(folder / "r.xlsx", [["study_uid", "report"], [name, "\u00d6dem"]])

    def test_numbers_dates_and_formulas(self, tmp_path: Path):
        path = write_xlsx(
            tmp_path / "r.xlsx",
            [
                ["accession", "mrn", "report", "issued"],
                [12345.0, 7, "a", datetime(2021, 3, 4, 10, 15)],
                ['="00123"', "P", "b", None],
                [1676830000000123, None, "c", None],
                [None, None, None, None],
                ["A9", None, None, None],
            ],
        )
        first, second, third, fourth = read_reports(path)
        assert first.links == (("accession", "12345", None), ("patient_id", "7", None))
        assert first.issued == "2021-03-04 10:15:00"
        assert ("accession", "00123", None) in second.links
        assert third.fault is not None
        assert third.fault[1] == "mangled_number"
        assert fourth.text == ""

    def test_leading_zeros_of_a_format(self, tmp_path: Path):
        import openpyxl

        book = openpyxl.Workbook()
        book.active.append(["accession", "report"])
        book.active.append([123, "a"])
        book.active["A2"].number_format = "00000000"
        book.save(tmp_path / "r.xlsx")
        assert only(tmp_path / "r.xlsx").links == (("accession", "00000123", None),)

    def test_every_sheet_is_read_or_told(self, tmp_path: Path):
        import openpyxl

        book = openpyxl.Workbook()
        for sheet in (book.active, book.create_sheet("more")):
            sheet.append(["accession", "report"])
            sheet.append([sheet.title, "Normal."])
        book.create_sheet("codes").append(["a", "b"])
        book.create_sheet("empty")
        book.save(tmp_path / "r.xlsx")
        first, second, third = read_reports(tmp_path / "r.xlsx")
        assert (first.fault, second.fault, second.text) == (None, None, "Normal.")
        assert third.fault is not None
        assert third.fault[:2] == ("out_of_scope", "not_a_report")

    def test_cells_beside_the_named_columns_are_told(self, tmp_path: Path):
        rows = [["accession", "report"], ["A1", "a", "Liver cyst."], ["A2", "b"]]
        first, second = read_reports(write_xlsx(tmp_path / "r.xlsx", rows))
        assert first.fault is not None
        assert first.fault[1] == "broken_row"
        assert second.text == "b"

    def test_no_workbook(self, tmp_path: Path):
        with pytest.raises(ReportSourceError, match=r"not readable as .xlsx"):
            list(read_reports(write(tmp_path / "r.xlsx", "x")))
        with pytest.raises(ReportSourceError, match="sheets are empty"):
            list(read_reports(write_xlsx(tmp_path / "r.xlsx", [])))


class TestText(SourceTests):
    kind = "text"

    def make(self, folder: Path, name: str) -> Path:
        return write(folder / f"{name}.txt", "FINDINGS: \u00d6dem", "cp1252")

    def test_names_that_are_no_uid(self, tmp_path: Path):
        row = only(write(tmp_path / "train_1_a_1.txt", "Normal."))
        assert row.links == (
            ("accession", "train_1_a_1", None),
            ("volume_name", "train_1_a_1", None),
        )

    def test_mapping_by_file_name(self, tmp_path: Path):
        path = write(tmp_path / "befund 7.txt", "Normal.")
        mapping = write(tmp_path / "map.csv", "file,accession,issuer\nBefund 7.txt,A1,HOSP\n")
        assert ("accession", "A1", "HOSP") in only(path, mapping=mapping).links
        with pytest.raises(ReportSourceError, match="expected report"):
            only(path, mapping=write(tmp_path / "bad.csv", "a,b\n1,2\n"))


class TestDicomSr(SourceTests):
    kind = "dicom_sr"

    def make(self, folder: Path, name: str) -> Path:
        finding = container("Findings", text_item("Finding", "\u00d6dem."))
        return write_sr(folder / "r.dcm", finding, study=name)

    def test_sections_of_its_tree(self, tmp_path: Path):
        path = write_sr(
            tmp_path / "r.dcm",
            container("History", text_item("History", "Cough.")),
            container("Findings", text_item("Finding", "One."), text_item("Finding", "Two.")),
            container("Impressions", text_item("Impression", "Three.")),
        )
        row = only(path)
        assert row.columns == {
            "clinical_information": "Cough.",
            "findings": "One.\nTwo.",
            "impression": "Three.",
        }
        assert row.issued == "20210304101500"
        assert {"Mustermann^Erika", "PAT-77001"} <= set(row.identities)

    def test_evidence_names_the_studies(self, tmp_path: Path):
        studies = [Dataset(), Dataset()]
        studies[0].StudyInstanceUID, studies[1].StudyInstanceUID = "1.5", "1.6"
        path = write_sr(
            tmp_path / "r.dcm",
            text_item("Report", "Text."),
            CurrentRequestedProcedureEvidenceSequence=studies,
            AccessionNumber="A1",
        )
        row = only(path)
        assert row.links == (
            ("accession", "A1", None),
            ("patient_id", "PAT-77001", None),
            ("study_uid", "1.5", None),
            ("study_uid", "1.6", None),
        )
        assert row.text == "Text."

    @pytest.mark.parametrize(
        ("tags", "reason"),
        [
            ({"sop_class": "1.2.840.10008.5.1.4.1.1.88.67"}, "not_a_text_report"),
            ({"PreliminaryFlag": "PRELIMINARY"}, "preliminary_report"),
        ],
    )
    def test_what_is_no_final_report(self, tmp_path: Path, tags: dict[str, str], reason: str):
        row = only(write_sr(tmp_path / "r.dcm", text_item("Report", "x"), **tags))
        assert row.fault is not None
        assert row.fault[:2] == ("out_of_scope", reason)

    def test_no_dicom(self, tmp_path: Path):
        fault = only(write(tmp_path / "r.dcm", "nonsense")).fault
        assert fault is not None
        assert fault[1] == "not_readable"


def diagnostic_report(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "id": "rep1",
        "status": "final",
        "issued": "2021-03-04T10:15:00Z",
        "subject": {"reference": "Patient/p1"},
        "imagingStudy": [{"reference": "ImagingStudy/s1"}],
        **more,
    }


STUDY = {
    "resourceType": "ImagingStudy",
    "id": "s1",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"}],
}
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"value": "PAT-77001"}],
    "name": [{"family": "Mustermann", "given": ["Erika", "Anna"]}],
    "birthDate": "1964-08-12",
    "address": [{"line": ["Ringstrasse 7"], "city": "K\u00f6ln"}],
}


class TestFhir(SourceTests):
    kind = "fhir"

    def make(self, folder: Path, name: str) -> Path:
        bundle = {
            "resourceType": "Bundle",
            "entry": [
                {"resource": resource}
                for resource in (diagnostic_report(conclusion="\u00d6dem."), STUDY, PATIENT)
            ],
        }
        return write(folder / "r.json", json.dumps(bundle))

    def test_identities_of_the_bundle(self, tmp_path: Path):
        row = only(self.make(tmp_path, "1.2.3.4"))
        assert {"Erika Anna Mustermann", "1964-08-12", "K\u00f6ln", "PAT-77001"} <= set(
            row.identities
        )
        assert ("patient_id", "PAT-77001", None) in row.links

    def test_contained_study_and_presented_form(self, tmp_path: Path):
        form = {
            "contentType": "text/html; charset=utf-8",
            "data": base64.b64encode(b"<h1>FINDINGS</h1><p>One &amp; two.</p>Three.").decode(),
        }
        report = diagnostic_report(
            imagingStudy=[{"reference": "#s1"}], contained=[STUDY], presentedForm=[form]
        )
        row = only(write(tmp_path / "r.json", json.dumps(report)))
        assert row.text == "FINDINGS\n\nOne & two.\nThree."
        assert ("study_uid", "1.2.3.4", None) in row.links

    def test_what_a_presented_form_lacks_is_added_and_no_more(self, tmp_path: Path):
        form = {"contentType": "text/plain", "data": base64.b64encode(b"Cyst of\n4 mm.").decode()}
        report = diagnostic_report(
            presentedForm=[form],
            result=[{"reference": "#o1"}],
            conclusion="CYST of 4 mm.\nAcute pancreatitis.",
            contained=[{"resourceType": "Observation", "id": "o1", "valueString": "cyst of 4 mm."}],
        )
        row = only(write(tmp_path / "r.json", json.dumps(report)))
        assert row.text == "Cyst of\n4 mm.\n\nIMPRESSION:\nAcute pancreatitis."

    def test_accession_and_observations(self, tmp_path: Path):
        lines = [
            diagnostic_report(
                imagingStudy=None,
                basedOn=[{"identifier": {"type": {"coding": [{"code": "ACSN"}]}, "value": "A1"}}],
                result=[{"reference": "Observation/o1"}],
                conclusion="Cyst.",
            ),
            {"resourceType": "Observation", "id": "o1", "valueString": "A 4 mm cyst."},
        ]
        row = only(write(tmp_path / "r.json", "\n".join(map(json.dumps, lines))))
        assert row.columns == {"findings": "A 4 mm cyst.", "impression": "Cyst."}
        assert ("accession", "A1", None) in row.links

    @pytest.mark.parametrize("status", ["additional", "generated", None])
    @pytest.mark.parametrize("form", [True, False])
    def test_a_narrative_adds_what_is_not_there(
        self, tmp_path: Path, status: str | None, form: bool
    ):
        report = diagnostic_report(conclusion="Cyst.")
        report["text"] = {"status": status, "div": "<div><p>Cyst.</p><p>Spleen large.</p></div>"}
        if form:
            data = base64.b64encode(b"Liver with a cyst.").decode()
            report["presentedForm"] = [{"contentType": "text/plain", "data": data}]
        row = only(write(tmp_path / "r.json", json.dumps(report)))
        text = " ".join(row.columns.values())
        assert ("Spleen large." in text) == (status != "generated")
        assert text.lower().count("cyst") == 1

    @pytest.mark.parametrize(
        ("url", "named"),
        [
            ("Binary/b1", {}),
            ("urn:uuid:7", {"fullUrl": "urn:uuid:7"}),
            ("https://a.example/fhir/Binary/b1/_history/2", {}),
            ("#b1", None),
        ],
    )
    @pytest.mark.parametrize(
        ("kind", "content"),
        [
            ("text/plain", b"Liver \xc3\xb6dem."),
            ("text/plain; charset=iso-8859-1", b"Liver \xf6dem."),
            ("text/html", b"<p>Liver &ouml;dem.</p>"),
            ("application/rtf", rb"{\rtf1\ansi Liver \'f6dem.}"),
        ],
    )
    def test_a_form_in_a_binary(
        self, tmp_path: Path, url: str, named: dict[str, str] | None, kind: str, content: bytes
    ):
        binary = {
            "resourceType": "Binary",
            "id": "b1",
            "contentType": kind,
            "data": base64.b64encode(content).decode(),
        }
        report = diagnostic_report(presentedForm=[{"url": url}])
        entries = [{"resource": report}, {"resource": STUDY}]
        if named is None:
            report["contained"] = [binary]
        else:
            entries.append({"resource": binary, **named})
        bundle = {"resourceType": "Bundle", "entry": entries}
        row = only(write(tmp_path / "r.json", json.dumps(bundle)))
        assert row.fault is None
        assert row.text == "Liver \u00f6dem."

    @pytest.mark.parametrize(
        ("form", "reason"),
        [
            ({"url": "Binary/else"}, "form_elsewhere"),
            ({"contentType": "application/pdf", "data": "JVBERi0xLjQ="}, "not_text"),
            ({"contentType": "image/jpeg", "data": "/9j/4AAQ"}, "not_text"),
            ({"data": "%%%"}, "broken_form"),
        ],
    )
    def test_a_form_that_is_not_read_is_told(
        self, tmp_path: Path, form: dict[str, str], reason: str
    ):
        report = diagnostic_report(presentedForm=[form])
        fault = only(write(tmp_path / "r.json", json.dumps(report))).fault
        assert fault is not None
        assert fault[1] == reason
        more = json.dumps({**report, "conclusion": "Cyst."})
        row, told = read_reports(write(tmp_path / "r.json", more))
        assert (row.fault, row.columns["impression"]) == (None, "Cyst.")
        assert told.fault is not None
        assert told.fault[1] == reason

    def test_all_of_an_observation(self, tmp_path: Path):
        lines = [
            diagnostic_report(result=[{"reference": "Observation/o1"}]),
            {
                "resourceType": "Observation", "id": "o1", "valueString": "A",
                "component": [{"valueString": "B"}], "note": [{"text": "C"}],
                "hasMember": [{"reference": "Observation/o2"}, {"reference": "Observation/o3"}],
            },
            {"resourceType": "Observation", "id": "o2", "valueString": "D"},
            {"resourceType": "Observation", "id": "o3", "valueString": "E",
             "status": "entered-in-error"},
        ]  # fmt: skip
        row = only(write(tmp_path / "r.json", "\n".join(map(json.dumps, lines))))
        assert row.columns["findings"] == "A\nB\nC\nD"

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("nonsense", "broken_json"),
            (json.dumps(PATIENT), "not_a_report"),
            (json.dumps(diagnostic_report(status="preliminary")), "preliminary_report"),
            (json.dumps(diagnostic_report(status="cancelled")), "cancelled_report"),
            (
                json.dumps(diagnostic_report(subject=["x"], basedOn="x", text="x")),
                "broken_resource",
            ),
            (
                json.dumps(diagnostic_report(presentedForm=[{"contentType": "application/pdf"}])),
                "not_text",
            ),
        ],
    )
    def test_what_cannot_be_used(self, tmp_path: Path, content: str, reason: str):
        fault = only(write(tmp_path / "r.json", content)).fault
        assert fault is not None
        assert fault[1] == reason


ORU = (
    "MSH|^~\\&|RIS|H|F|H|20210304||ORU^R01|1|P|2.5||||||{charset}\r"
    "PID|1||PAT-77001^^^H^MR||Mustermann^Erika||19640812|F|||Ringstr 7^^K\u00f6ln\r"
    "OBR|1|PL1|A1^RIS|CT^CT|||20210304|||||||||123^House^Gregory||||||20210305||F|{status}\r"
    "OBX|1|TX|1^CT&GDT||\u00d6dem \\T\\ more.\\.br\\Second line.~Third.\r"
    "OBX|2|TX|1^CT&IMP||Mild.\r"
    "ZDS|1.2.3.4^RIS^Application^DICOM\r"
)


def oru(charset: str = "", status: str = "F") -> str:
    return ORU.replace("|F|{status}", f"|CT|{status}").format(charset=charset)


class TestHl7(SourceTests):
    kind = "hl7"

    def make(self, folder: Path, name: str) -> Path:
        return write(folder / "r.hl7", oru())

    def test_sections_links_and_identities(self, tmp_path: Path):
        row = only(self.make(tmp_path, ""))
        assert row.columns == {
            "findings": "\u00d6dem & more.\nSecond line.\nThird.",
            "impression": "Mild.",
        }
        assert ("accession", "A1", None) in row.links
        assert ("patient_id", "PAT-77001", None) in row.links
        assert {"Mustermann Erika", "House Gregory", "K\u00f6ln", "19640812"} <= set(row.identities)
        assert row.issued == "20210305"

    @pytest.mark.parametrize(
        ("charset", "encoding"), [("8859/9", "iso-8859-9"), ("UNICODE UTF-8", "utf-8")]
    )
    def test_stated_character_set(self, tmp_path: Path, charset: str, encoding: str):
        text = oru(charset).replace("\u00d6dem", "akci\u011fer")
        assert "akci\u011fer" in only(write(tmp_path / "r.hl7", text, encoding)).columns["findings"]

    def test_batch_with_frames_and_other_messages(self, tmp_path: Path):
        other = "MSH|^~\\&|R|H|F|H|2021||ADT^A01|2|P|2.5\nPID|1\n"
        text = f"FHS|^~\\&\r\nBHS|^~\\&\r\n\x0b{oru()}\x1c\r{other}BTS|2\r\n"
        first, second = read_reports(write(tmp_path / "r.hl7", text))
        assert first.fault is None
        assert second.fault is not None
        assert second.fault[:2] == ("out_of_scope", "not_a_result")

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (oru(status="P"), "preliminary_report"),
            (oru(status="X"), "cancelled_report"),
            ("MSH|^~\\&|R|H|F|H|2021||ORU^R01|2|P|2.5\rPID|1\r", "broken_message"),
            ("MSH|#~\\&|R|H|F|H|2021||ORU#R01|2|P|2.5\rPID|1\r", "broken_message"),
            ("nonsense", "no_message"),
        ],
    )
    def test_what_cannot_be_used(self, tmp_path: Path, text: str, reason: str):
        fault = only(write(tmp_path / "r.hl7", text)).fault
        assert fault is not None
        assert fault[1] == reason

    def test_addendum(self, tmp_path: Path):
        text = oru().replace("&GDT", "&ADT").replace("&IMP", "&ADT")
        assert only(write(tmp_path / "r.hl7", text)).addendum


def test_every_kind_has_its_tests():
    assert {tests.kind for tests in SourceTests.__subclasses__()} == set(REPORT_SOURCES.own)


def test_files_that_are_none(tmp_path: Path):
    with pytest.raises(ReportSourceError, match="no such file"):
        list(read_reports(tmp_path / "r.csv"))
    with pytest.raises(ReportSourceError, match=r"found .xls;"):
        list(read_reports(write(tmp_path / "r.xls", "x")))
    with pytest.raises(ReportSourceError, match="its columns are none"):
        list(read_reports(write(tmp_path / "r.csv", "")))


def test_files_of_a_folder_that_cannot_be_read_are_set_aside(tmp_path: Path):
    (tmp_path / "1.csv").write_text("")
    (tmp_path / "2.csv").write_text("accession,report,report\nA1,Liver cyst.,Normal.\n")
    (tmp_path / "3.xlsx").write_bytes(b"PK\x03\x04 half of a file")
    with pytest.raises(ReportSourceError):
        list(read_reports(tmp_path))
    (tmp_path / "9.csv").write_text("accession,report\nA2,Liver cyst.\n")
    rows = list(read_reports(tmp_path))
    assert {row.file for row in rows if row.fault is None} == {"9.csv"}
    faults = {row.file: row.fault for row in rows if row.fault is not None}
    told = {name: fault[:2] for name, fault in faults.items() if fault}
    assert told == dict.fromkeys(("1.csv", "2.csv", "3.xlsx"), ("fault", "unreadable_file"))
    assert "Liver" not in str(faults)
    assert sum(told_columns(tmp_path).values()) == 1
    for name in faults:
        with pytest.raises(ReportSourceError):
            list(read_reports(tmp_path / name))
