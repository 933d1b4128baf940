"""Every row and column of a table is read, set aside or told."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.reports.sources import ReportSourceError, read_reports, told_columns
from fvlm_data.reports.sources.spreadsheet import number_as_typed
from tests.reports.driven import made, ran
from tests.reports.test_sources import write, write_xlsx

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "accession,report\n"


def texts(path: Path) -> dict[str, str]:
    """Texts that were read, by accession number; the faults, by their number as `!n`."""
    told: dict[str, str] = {}
    for row in read_reports(path):
        name = row.links[0][1] if row.fault is None else f"!{len(told)}"
        told[name] = row.text or "" if row.fault is None else row.fault[1]
    return told


@pytest.mark.parametrize(
    ("rows", "read", "faults"),
    [
        ('A-001,"Cyst.\nA-002,"No mass."\nA-003,"Good."\n', {"A-003"}, 2),
        ('A-001,"Cyst.\nA-002,No mass.\nA-003,"Good."\n', set(), 3),
        ('A-001,"Cyst.\nA-002,size 5"\nA-003,"Good."\n', {"A-003"}, 2),
        ('A-001,Good\nA-002,"Cyst.\nA-003,No mass.\nA-004,x\n', {"A-001"}, 3),
        ('A-001,Good\nA-002,"Cyst.\n', {"A-001"}, 1),
        ('A-001,"Cyst.\nA-002,"No\nmass."\nA-003,ok\n', {"A-003"}, 3),
        ('A-9,"Cyst.\nA-10,size 5"\nA-11,Good.\n', {"A-11"}, 2),
        ('1,"Cyst.\n2,No mass."\n3,Ok\n', {"3"}, 2),
        ('A-001,"The "halo" sign"\nA-002,ok\n', {"A-002"}, 1),
        ('A-001,"The "halo" sign\nis seen"\nA-002,ok\n', {"A-002"}, 2),
        ('A-001,Cyst."\nA-002,"ok"\n', {"A-001", "A-002"}, 0),
    ],
)
def test_a_quote_that_is_not_closed(tmp_path: Path, rows: str, read: set[str], faults: int):
    told = texts(write(tmp_path / "r.csv", HEAD + rows))
    assert {name for name in told if not name.startswith("!")} == read
    assert set(told) - read == {name for name in told if name.startswith("!")}
    assert len(told) - len(read) == faults
    assert not any("A-00" in text for text in told.values())


def test_keys_behind_the_text_and_other_delimiters(tmp_path: Path):
    rows = 'report;accession\n"Cyst.;A-001\nNo mass.;A-002\n"Good; x";A-009\n'
    assert set(texts(write(tmp_path / "r.csv", rows)).values()) == {"open_quote"}


@pytest.mark.parametrize(
    "text",
    [
        "Findings:\n2, small nodule\n1,5 cm cyst\n3) x",
        'One\n\nTwo; "quoted", x\nA-003 was compared.',
        "1234, 5 mm\nT2,hyperintense",
        "A-003, which was seen before, is unchanged",
        '"',
        "a\r\nb",
    ],
)
def test_cells_of_several_lines_are_read(tmp_path: Path, text: str):
    out = io.StringIO()
    csv.writer(out).writerows([["accession", "report"], ["A-001", text], ["1", text]])
    path = tmp_path / "r.csv"
    path.write_bytes(out.getvalue().encode())
    assert set(texts(path)) == {"A-001", "1"}


@settings(deadline=None)
@given(st.lists(st.text("ab\u00d6\",;\n\t'|19", min_size=1, max_size=20), min_size=1, max_size=5))
def test_what_is_written_right_is_read_right(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
):
    out = io.StringIO()
    rows = [[f"KEY-{number}", text] for number, text in enumerate(cells)]
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["accession", "report"], *rows])
    path = tmp_path_factory.getbasetemp() / "right.csv"
    path.write_bytes(out.getvalue().encode())
    assert texts(path) == {f"KEY-{number}": text.strip() for number, text in enumerate(cells)}


@settings(deadline=None)
@given(st.integers(0, 3), st.lists(st.sampled_from(["Cyst.", "No, mass", "a\nb", "x"]), min_size=5))
def test_a_lost_quote_moves_no_text_to_another_row(
    tmp_path_factory: pytest.TempPathFactory, at: int, cells: list[str]
):
    lines = [f'"KEY{number}","{text} of {number}"' for number, text in enumerate(cells)]
    lines[at] = lines[at][:-1]
    path = tmp_path_factory.getbasetemp() / "lost.csv"
    path.write_text("accession,report\n" + "\n".join(lines) + "\n")
    told = texts(path)
    for name, text in told.items():
        if not name.startswith("!"):
            assert re.findall(r"of (\d+)", text) == [name.removeprefix("KEY")]
    assert f"KEY{at}" not in told
    assert len(told) >= len(cells)


@pytest.mark.parametrize(
    ("cell", "typed"),
    [
        ("12345.0", "12345"),
        ("12345,00", "12345"),
        ("1676830000000000.0", None),
        ('="00123"', "00123"),
        ("'00123", "00123"),
        ("1.2345E+04", "12345"),
        ("1,2345E+4", "12345"),
        ("1.67683E+15", None),
        ("1E+11", None),
        ("########", None),
        ("#N/A", None),
        ("1E5", "1E5"),
        ("00123", "00123"),
        ("1.2.840", "1.2.840"),
        ("CT-12.0", "CT-12.0"),
    ],
)
def test_numbers_of_spreadsheets(cell: str, typed: str | None):
    assert number_as_typed(cell) == typed


def test_lost_digits_are_told_and_counted(tmp_path: Path):
    rows = "1.2.3,1.67683E+15,a\n,1.67683E+16,b\n,12345.0,c\n1.0,x,d\n"
    path = write(tmp_path / "r.csv", "study_uid,accession,report\n" + rows)
    first, second, third, fourth = read_reports(path)
    assert first.fault is None
    assert first.links == (("study_uid", "1.2.3", None),)
    assert second.fault is not None
    assert second.fault[1] == "mangled_number"
    assert third.links == (("accession", "12345", None),)
    assert ("study_uid", "1.0", None) in fourth.links
    from fvlm_data.reports.discovery import discover_reports

    config = made(tmp_path, {"path": path})
    counts = discover_reports(ran(config), config.reports, config.identity.source_names)
    assert (counts["numbers_lost"], counts["numbers_mended"]) == (2, 1)


def test_a_mapping_with_lost_digits_is_refused(tmp_path: Path):
    path = write(tmp_path / "r.csv", "study_uid,report\n1.2,x\n")
    mapping = write(tmp_path / "m.csv", "study_uid,accession\n1.2,1.67683E+15\n")
    with pytest.raises(ReportSourceError, match="row 2: its link is a number"):
        list(read_reports(path, mapping=mapping))


@pytest.mark.parametrize(
    ("cell", "reason"), [("#NAME?", "mangled_text"), ("x" * 32_767, "cut_text")]
)
def test_texts_that_a_spreadsheet_has_cut(tmp_path: Path, cell: str, reason: str):
    assert list(texts(write(tmp_path / "r.csv", f"{HEAD}A,{cell}\n")).values()) == [reason]


@pytest.mark.parametrize("names", ["accession,report,report", "accession,Report,report"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, names: str):
    path = write(tmp_path / "r.csv", f"{names}\nA,x,y\n")
    with pytest.raises(ReportSourceError, match="2 columns are called"):
        list(read_reports(path))
    if "Report" in names:
        assert [row.text for row in read_reports(path, {"report": "report"})] == ["y"]


TWICE = '{"accession": "A", "report": "x", "report": "y"}'


def test_two_values_of_one_name_in_a_line(tmp_path: Path):
    path = write(tmp_path / "r.jsonl", TWICE + '\n{"accession": "B", "report": "z"}\n')
    assert list(texts(path).values()) == ["broken_row", "z"]


def test_a_column_that_comes_late_is_found(tmp_path: Path):
    lines = [json.dumps({"accession": str(n), "findings": "x"}) for n in range(1200)]
    lines.append(json.dumps({"accession": "z", "findings": "x", "impression": "Late."}))
    rows = list(read_reports(write(tmp_path / "r.jsonl", "\n".join(lines))))
    assert rows[-1].columns["impression"] == "Late."


def test_a_line_that_names_the_delimiter(tmp_path: Path):
    path = write(tmp_path / "r.csv", "sep=;\naccession;report\nA;x, y, z\n")
    assert texts(path) == {"A": "x, y, z"}


def test_markup_in_cells(tmp_path: Path):
    rows = [
        {"accession": "A", "report": "<p>Liver &lt;5 mm</p><p>Ok</p>"},
        {"accession": "B", "report": "{\\rtf1 Liver\\par Ok}"},
        {"accession": "C", "report": "Cyst &lt;5&nbsp;mm"},
        {"accession": "D", "report": "JVBERi0xLjQgbm90aGluZyB0byByZWFk"},
    ]
    told = texts(write(tmp_path / "r.jsonl", "\n".join(map(json.dumps, rows))))
    assert list(told.values()) == ["Liver <5 mm\n\nOk", "Liver\nOk", "Cyst <5\xa0mm", "not_text"]


ROWS = [
    ["accession", "findings", "impression", "Zusammenfassung", "code"],
    ["A1", "a", "b", "The liver is normal today.", 7],
]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx"])
def test_columns_that_are_not_used_are_told(tmp_path: Path, kind: str):
    path = tmp_path / f"r.{kind}"
    if kind == "xlsx":
        write_xlsx(path, ROWS)
    elif kind == "csv":
        path.write_text("\n".join(",".join(map(str, row)) for row in ROWS))
    else:
        path.write_text(json.dumps(dict(zip(ROWS[0], ROWS[1], strict=True))))
    (sentence,) = told_columns(tmp_path)
    assert "accession from accession, findings from findings" in sentence
    assert "not used: Zusammenfassung, code; of these with text: Zusammenfassung" in sentence


def test_the_mapping_is_printed_before_the_run_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "vault"))
    path = write(tmp_path / "r.csv", "accession,report,note\nA,Liver cyst.,hidden cyst of liver\n")
    store = tmp_path / "store"
    ended = CliRunner().invoke(app, ["reports", str(path), "--store", str(store), "--json"])
    assert ended.exit_code == 0, ended.output
    out, err = ended.stdout, ended.stderr
    told = "reports[0], csv: accession from accession, report from report; not used: note"
    assert err.startswith(told)
    assert json.loads(out)["announced"][0].startswith(told)
    assert "hidden cyst" not in out + err
    (record,) = (json.loads(one.read_text()) for one in (store / "runs").glob("*.json"))
    assert record["announced"][0].startswith(told)
