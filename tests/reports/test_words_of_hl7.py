"""Every word of an HL7 report ends in its text or in a fault that names the segment."""

from __future__ import annotations

import base64
import re
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.reports.sources import read_reports
from tests.reports.pdf_files import pdf

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.reports.sources import ReportRow

HEAD = (
    "MSH|^~\\&|RIS|H|F|H|20210304||ORU^R01|1|P|2.5\r"
    "PID|1||PAT-77001^^^H^MR||Mustermann^Erika||19640812\r"
)
ORDER = "OBR|1|PL1|A1^RIS|CT^CT|||20210304|||||||||||||||20210305||CT|F\r"


def rows(folder: Path, body: str, head: str = HEAD + ORDER) -> list[ReportRow]:
    path = folder / "r.hl7"
    path.write_bytes(f"{head}{body}\r".encode())
    return list(read_reports(path))


def obx(text: str, kind: str = "TX", status: str = "F", number: int = 1) -> str:
    return f"OBX|{number}|{kind}|{number}^CT||{text}||||||{status}"


def ed(kind: str, content: bytes, encoding: str = "Base64") -> str:
    data = content.hex() if encoding == "Hex" else base64.b64encode(content).decode()
    return obx(f"RIS^{kind}^{encoding}^{data}", "ED")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"One.\E\.br\E\Two \E\T\E\ three", "One.\nTwo & three"),
        (r"One.\\.br\\Two \\T\\ three", "One.\nTwo & three"),
        ("Liver \\ cyst 3 cm \\ stable", "Liver \\ cyst 3 cm \\ stable"),
        ("Liver \\ cyst 3 cm", "Liver \\ cyst 3 cm"),
        (r"a \Zfoo\ b \.xy\ c \Q\ d \lower\ e", r"a \Zfoo\ b \.xy\ c \Q\ d \lower\ e"),
        (r"C:\scans\liver\x.dcm", r"C:\scans\liver\x.dcm"),
        (r"a\.br\\.br\b", "a\n\nb"),
        ("a\\\\.br\\b", "a\\\nb"),
        (r"a\X0D0A\b \XC396\dem", "a\nb \u00d6dem"),
        (r"a\.sp2\b\.in+4\c\.ce\d\.BR\e", "a\n\nb    c\nd\ne"),
        (r"\H\bold\N\ \F\ \S\ \R\ \T\ \E\ ", "bold | ^ ~ & \\ "),
        ("One\nTwo\n\nThree", "One\nTwo\n\nThree"),
        ("One~Two", "One\nTwo"),
        ("5 ^ 6 & 7", "5 ^ 6 & 7"),
    ],
)
def test_escapes_and_line_feeds(tmp_path: Path, text: str, read: str):
    (row,) = rows(tmp_path, obx(text))
    assert row.fault is None
    assert row.text == read


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (obx("One") + "\nTwo three.\nFour", "One\nTwo three.\nFour"),
        (obx("One") + "\rNTE|1|L|Note~more\rNTE|2||Last|RE", "One\nNote\nmore\nLast"),
        ("NTE|1|L|Before\r" + obx("One"), "Before\nOne"),
        (obx("One") + "\rNTE|1||Note\r" + obx("Two", number=2), "One\nNote\nTwo"),
        (obx("One") + "\rADD|| and so on", "One"),
        (obx("Mass^Nodule", "CE") + "\r" + obx("5", "NM", number=2), "Mass Nodule"),
        ("OBX|1|ST|1||4.5|mm|||||F", "4.5 mm"),
        ("OBX|1|ST|1||4.5|mm|1-3|H|||F", "4.5 mm 1-3"),
        ("OBX|1||1||No type||||||F", "No type"),
    ],
)
def test_segments(tmp_path: Path, body: str, read: str):
    (row,) = rows(tmp_path, body)
    assert row.fault is None
    assert row.text is not None
    assert row.text.strip() == read


def test_a_segment_that_is_continued(tmp_path: Path):
    (row,) = rows(tmp_path, "OBX|1|TX|1||One and\rADD| two||||||F")
    assert row.text == "One and two"


def test_a_second_order_without_numbers_is_of_the_first_request(tmp_path: Path):
    first, second = rows(tmp_path, obx("One") + "\rORC|RE\rOBR|2\r" + obx("Two"))
    assert (first.text, second.text) == ("One", "Two")
    assert first.links == second.links


def test_notes_on_the_patient_stand_in_the_report(tmp_path: Path):
    (row,) = rows(tmp_path, obx("One"), HEAD + "NTE|1||Patient note\r" + ORDER)
    assert row.text == "One\nPatient note"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_byte_order(tmp_path: Path, encoding: str):
    path = tmp_path / "r.hl7"
    path.write_bytes((HEAD + ORDER + obx("Liver \u00f6dem") + "\r").encode(encoding))
    (row,) = read_reports(path)
    assert (row.fault, row.text) == (None, "Liver \u00f6dem")


def test_each_message_has_its_character_set(tmp_path: Path):
    path = tmp_path / "r.hl7"
    stated = HEAD.replace("|2.5\r", "|2.5||||||{}\r")
    both = (
        (stated.format("8859/9") + ORDER + obx("akci\u011fer") + "\r").encode("iso-8859-9"),
        (stated.format("UNICODE UTF-8") + ORDER + obx("akci\u011fer") + "\r").encode(),
        (stated.format("~ISO IR87") + ORDER + obx("\u809d\u81d3") + "\r").encode("iso2022_jp"),
    )
    path.write_bytes(b"".join(both))
    assert [row.text for row in read_reports(path)] == 2 * ["akci\u011fer"] + ["\u809d\u81d3"]


def test_other_separators(tmp_path: Path):
    head = "MSH#*%!@#RIS#H#F#H#2021##ORU*R01#1#P#2.5\rOBR#1#P1#A1*RIS#CT\r"
    (row,) = rows(tmp_path, "OBX#1#TX#1##One !T! two%three | x######F", head)
    assert row.text == "One @ two\nthree | x"
    assert ("accession", "A1", None) in row.links


RTF = r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 Liver \'d6dem.\par No {\b mass}.}"
HTML = "<html><head><style>p {x}</style></head><body><p>Liver &Ouml;dem.</p><p>No\n mass.</p>"


@pytest.mark.parametrize(
    "body",
    [
        obx(RTF),
        obx(RTF.replace("\\", "\\E\\"), "FT"),
        obx(RTF[:60].replace("\\", "\\E\\")) + "\r" + obx(RTF[60:].replace("\\", "\\E\\")),
        ed("TEXT^RTF", RTF.encode()),
        ed("application^rtf", RTF.encode(), "Hex"),
        obx(HTML.replace("\n", " ")),
        obx(HTML),
        obx(HTML.replace("&", "\\T\\")),
        ed("TEXT^HTML", HTML.encode()),
        ed("text^plain", "Liver \u00d6dem.\nNo mass.".encode()),
        obx("RIS^TEXT^^A^Liver \u00d6dem.\\.br\\No mass.", "ED"),
    ],
)
def test_markup_and_files_are_read_as_text(tmp_path: Path, body: str):
    (row,) = rows(tmp_path, body)
    assert row.fault is None
    assert row.text is not None
    assert " ".join(row.text.split()) == "Liver \u00d6dem. No mass."


def test_text_around_markup_stays(tmp_path: Path):
    (row,) = rows(tmp_path, obx(r"Before {\rtf1 A\par B} after {\rtf1 C} last"))
    assert row.text == "Before\nA\nB\nafter\nC\nlast"
    (row,) = rows(tmp_path, obx("<div>A<o:p></o:p><custom>B</div>"))
    assert row.text == "A<custom>B"
    (row,) = rows(tmp_path, obx("size <5 mm and x <y and z> w<br>next"))
    assert row.text == "size <5 mm and x <y and z> w\nnext"


PARTS = base64.b64encode(b"%PDF-1.4 in several segments, one a line of it").decode()


@pytest.mark.parametrize(
    "body",
    [
        ed("application^pdf", b"%PDF-1.4 nothing"),
        ed("IM^JPEG", b"\xff\xd8\xff\xe0 picture"),
        ed("AP^Octet-stream", b"\x89PNG\r\n\x1a\n picture"),
        ed("AP^", b"PK\x03\x04 word"),
        ed("IM^TIFF", b"II*\x00 fax", "Hex"),
        obx(base64.b64encode(b"%PDF-1.4 nothing to read here").decode()),
        obx(PARTS[:40]) + "\r" + obx(PARTS[40:], number=3),
        obx("\\\\server\\reports\\1.pdf^^PDF", "RP"),
    ],
)
def test_what_is_no_text_is_set_aside(tmp_path: Path, body: str):
    (row,) = rows(tmp_path, body)
    assert row.fault is not None
    assert row.fault[:2] == ("fault", "not_text")
    assert row.fault[2].startswith("message 1: OBX")
    first, second = rows(tmp_path, f"{obx('Liver cyst.')}\rOBX|2{body[5:]}")
    assert (first.text, first.fault) == ("Liver cyst.", None)
    assert second.fault is not None
    assert second.fault[:2] == ("fault", "not_text")
    segment = "OBX 2: " if "|TX|" not in body else "OBX of the report: "
    assert second.fault[2].startswith(f"message 1: {segment}")


def test_a_pdf_of_text_is_read(tmp_path: Path):
    (row,) = rows(tmp_path, ed("application^pdf", pdf("Liver cyst of 3 cm.")))
    assert row.fault is None
    assert row.text == "Liver cyst of 3 cm."
    (row,) = rows(tmp_path, ed("application^pdf", pdf("")))
    assert row.fault is not None
    assert row.fault[1] == "not_text"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (obx("One | two"), "broken_segment"),
        (obx("One | two", ""), "broken_segment"),
        (obx("One | two | three | four and", "ST"), "broken_segment"),
        (obx("One") + "\rNTE|1||Note | with more", "broken_segment"),
        (obx(r"One\C2842\ two"), "other_character_set"),
        (obx("RIS^TEXT^^Base64^%%%", "ED"), "broken_segment"),
        ("ZZZ|1\nLost words\r" + obx("One"), "broken_segment"),
    ],
)
def test_what_cannot_be_told_for_sure_names_its_segment(tmp_path: Path, body: str, reason: str):
    (row,) = rows(tmp_path, body)
    assert row.fault is not None
    assert row.fault[:2] == ("fault", reason)
    assert re.match("message 1: (OBX|NTE|ZZZ)", row.fault[2])


def test_text_outside_orders_and_messages_is_told(tmp_path: Path):
    told, row = rows(tmp_path, obx("One"), HEAD + obx("Lost") + "\r" + ORDER)
    assert told.fault is not None
    assert told.fault[1] == "broken_message"
    assert row.text == "One"
    row, told = rows(tmp_path, obx("One"), f"{obx('Lost')}\r{HEAD}{ORDER}")
    assert told.fault is not None
    assert told.fault[1] == "outside_message"
    assert row.text == "One"


@pytest.mark.parametrize(
    ("results", "order", "reason"),
    [
        ("X", "F", "cancelled_report"),
        ("P", "", "preliminary_report"),
        ("P", "F", "preliminary_report"),
        ("F", "A", "preliminary_report"),
        ("F", "", None),
    ],
)
def test_status_of_results(tmp_path: Path, results: str, order: str, reason: str | None):
    head = HEAD + ORDER.replace("|CT|F\r", f"|CT|{order}\r")
    (row,) = rows(tmp_path, obx("One", status=results), head)
    assert (row.fault[1] if row.fault else None) == reason


WORDS = st.text("abgmuz\u00d6\u0131\u80ba059", min_size=2, max_size=6)
"""No single letter: one between two escape characters is a known escape."""
MARKS = st.sampled_from(
    [" ", "\n", "~", "^", "&", "\\", " \\ ", "\\.br\\", "\\E\\.br\\E\\", "\\T\\", "\\S\\",
     "\\F\\", "\\.sp\\", "\\X0A\\", "\\\\", "/", ":", " - "]
)  # fmt: skip
TEXTS = st.lists(st.tuples(WORDS, MARKS), min_size=1, max_size=12)
SEGMENTS = st.lists(st.tuples(st.sampled_from(["TX", "FT", "ST", "NTE"]), TEXTS), min_size=1)


@settings(deadline=None)
@given(SEGMENTS)
def test_no_word_is_lost(tmp_path_factory: pytest.TempPathFactory, segments: list):
    folder = tmp_path_factory.getbasetemp()
    lines = ["OBX|0|TX|0||" + "||||||F"]
    for number, (kind, parts) in enumerate(segments, start=1):
        text = "".join(word + mark for word, mark in parts)
        lines.append(f"NTE|{number}|L|{text}" if kind == "NTE" else obx(text, kind, number=number))
    (row,) = rows(folder, "\r".join(lines))
    assert row.fault is None
    written = "".join(word for _, parts in segments for word, _ in parts)
    assert Counter(re.findall(r"\w", row.text or "")) == Counter(written)


LOUD = [
    obx("Liver \\ cyst \\ Zanzibar \\Zx\\ \\C2842\\"),
    obx(r"{\rtf1 Zanzibar {{ \'zz \u99999999999 }"),
    ed("application^pdf", b"%PDF-1.4 Zanzibar"),
    ed("application^pdf", pdf("Zanzibar").replace(b"endobj", b"endobk")),
    obx("<p Zanzibar <![if x <!-- "),
]


@pytest.mark.parametrize("body", LOUD)
def test_nothing_of_a_report_is_printed_or_logged(
    tmp_path: Path, body: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(0):
        made = rows(tmp_path, body)
    out, err = capfd.readouterr()
    assert (out, err, caplog.text) == ("", "", "")
    assert all("Zanzibar" not in str(row.fault) for row in made)


@pytest.mark.parametrize(
    "body",
    [
        obx("line\n" * 40_000),
        "\r".join(obx(f"line {number}") for number in range(10_000)),
        "\r".join(obx(f"line {number}", status="D") for number in range(10_000)) + "\r" + obx("x"),
        obx("\\" * 200_000),
        obx(PARTS) + "\r" + "\r".join(obx(PARTS[:40]) for _ in range(5000)),
    ],
    ids=["line feeds", "segments", "deleted", "escapes", "base64"],
)
def test_cost_is_linear(tmp_path: Path, body: str):
    started = time.process_time()
    rows(tmp_path, body)
    assert time.process_time() - started < 5
