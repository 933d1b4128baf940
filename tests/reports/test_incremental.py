"""What a run makes anew when little or nothing has changed."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from fvlm_data.identity.ids import link_key
from fvlm_data.identity.vault import Vault
from fvlm_data.pairing import match_stage as matching
from fvlm_data.pairing.match_stage import match_stage
from fvlm_data.reports.versions.stage import versions_stage
from fvlm_data.vocabulary import Vocabulary
from schemas import TABLES, Link
from tests.core.hand_store import link, volume
from tests.reports.driven import discover, made, ran, remade, stages, studies_of
from tests.reports.test_stage import mark

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context

EN = Vocabulary.load()
TEXTS = ("Mrs. Mustermann: liver cyst.", "Mustermann: no effusion.", "Normal lungs.")


def write_reports(file: Path, *rows: tuple[str, str], heads: str = "study_uid,report") -> None:
    with file.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([heads.split(","), *rows])


def three_reports(tmp_path: Path) -> Config:
    file = tmp_path / "r.csv"
    write_reports(file, *((f"1.{number}", text) for number, text in enumerate(TEXTS)))
    return made(tmp_path, {"path": file})


def report_of(context: Context, words: str) -> str:
    rows = context.store.read("reports", ["report_id", "text"]).to_pylist()
    return str(next(row["report_id"] for row in rows if words in row["text"]))


def study(context: Context, number: int, uid: str, patient: str, **names: str) -> list[Link]:
    key = context.vault.key
    stated = {"study_uid": uid, **names}
    return [
        link("study", f"st_{number}", kind, link_key(kind, value, key=key), f"se_{number}")
        for kind, value in stated.items()
        if kind != "patient_id"
    ] + [
        link("patient", patient, kind, link_key(kind, value, key=key), f"se_{number}")
        for kind, value in names.items()
        if kind == "patient_id"
    ]


def images_arrive(context: Context, number: int, uid: str, patient: str, **names: str) -> None:
    context.store.replace("links", [f"se_{number}"], study(context, number, uid, patient, **names))
    context.store.replace("volumes", [f"st_{number}"], [volume(number, f"st_{number}", patient)])


def test_a_second_run_writes_and_encrypts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = three_reports(tmp_path)
    context = ran(config)
    versions = {table: context.store.version(table) for table in TABLES}

    def refuse(self: Vault, value: str) -> bytes:
        raise AssertionError("a value is encrypted")

    monkeypatch.setattr(Vault, "_encrypt", refuse)
    context = ran(config)
    assert {table: context.store.version(table) for table in TABLES} == versions


def test_only_a_new_row_of_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = three_reports(tmp_path)
    before = ran(config).store.read("inputs").to_pylist()
    kept: list[str] = []
    remember = Vault.remember_reports

    def counted(self: Vault, originals: Any) -> None:
        kept.extend(originals)
        remember(self, originals)

    monkeypatch.setattr(Vault, "remember_reports", counted)
    rows = [*((f"1.{number}", text) for number, text in enumerate(TEXTS)), ("1.9", "Gallstone.")]
    write_reports(tmp_path / "r.csv", *rows)
    context = ran(config)
    after = context.store.read("inputs").to_pylist()
    (new,) = (row for row in after if row not in before)
    assert kept == [new["item"]]
    assert report_of(context, "Gallstone") == new["item"]


@pytest.mark.parametrize("table", ["inputs", "links"])
def test_lost_rows_of_a_file_are_written_again(tmp_path: Path, table: str):
    config = three_reports(tmp_path)
    context = ran(config)
    rows = sorted(context.store.read(table).to_pylist(), key=str)
    column = TABLES[table].replaced_by
    context.store.replace(table, [rows[0][column]], [])
    again = ran(config).store.read(table).to_pylist()
    assert sorted(again, key=str) == rows


def test_what_a_file_tells_of_a_report_reaches_the_stages(tmp_path: Path):
    heads = "study_uid,report,report_status"
    file = tmp_path / "r.csv"
    write_reports(file, ("1", "Liver cyst.", "final"), ("1", "Liver stone.", "final"), heads=heads)
    config = made(tmp_path, {"path": file})
    assert ran(config).store.count("reports") == 2
    rows = (("1", "Liver cyst.", "final"), ("1", "Liver stone.", "corrected"))
    write_reports(file, *rows, heads=heads)
    (report,) = ran(config).store.read("reports").to_pylist()
    assert "stone" in report["text"]


def test_an_original_that_the_vault_has_lost_is_kept_and_read_again(tmp_path: Path):
    config = three_reports(tmp_path)
    context = ran(config)
    with context.vault.contents.connection() as connection:
        connection.execute("DELETE FROM reports")
    context.store.replace_all("ledger", [])
    for stage in stages(config):
        remade(context, stage)
    assert set(context.store.read("quarantine")["reason"].to_pylist()) == {"original_missing"}
    context = ran(config)
    assert context.store.count("quarantine") == 0
    assert context.store.count("reports") == 3


def test_a_header_that_arrives_later_remakes_its_patients_reports_alone(tmp_path: Path):
    config = three_reports(tmp_path)
    context = ran(config)
    cyst = report_of(context, "cyst")
    images_arrive(context, 1, "1.0", "p_1")
    context.vault.remember_patient("p_1", ["Mustermann Erika"])
    context.store.replace("identity_marks", ["se_1"], [mark("p_1", "se_1", "a")])
    match, versions, reports = stages(config)
    assert remade(context, match) == [cyst]
    assert remade(context, versions) == []
    assert remade(context, reports, [match, versions]) == [cyst]
    texts = sorted(context.store.read("reports")["text"].to_pylist())
    assert texts == ["Mrs. [NAME]: liver cyst.", "Mustermann: no effusion.", "Normal lungs."]
    context.store.replace("identity_marks", ["se_2"], [mark("p_1", "se_2", "a")])
    assert remade(context, reports, [match, versions]) == []
    context.store.replace("identity_marks", ["se_2"], [mark("p_1", "se_2", "b")])
    assert remade(context, reports, [match, versions]) == [cyst]


def matches(context: Context) -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {}
    for row in context.store.read("report_matches").to_pylist():
        told = (row["owner_kind"], row["owner_id"], row["matched_by"])
        found.setdefault(row["report_id"], []).append(told)
    return {report: sorted(rows) for report, rows in found.items()}


def test_table_of_matches(tmp_path: Path):
    file = tmp_path / "r.csv"
    rows = [
        ("1.1", "A1", "Joined."),
        ("1.1", "A2", "In conflict."),
        ("", "A3", "Of two patients."),
        ("9.9", "", "Of nobody."),
    ]
    write_reports(file, *rows, heads="study_uid,accession,report")
    config = made(tmp_path, {"path": file})
    context = discover(config)
    images_arrive(context, 1, "1.1", "p_1", accession="A1")
    images_arrive(context, 2, "1.2", "p_2", accession="A2")
    images_arrive(context, 3, "1.3", "p_1", accession="A3")
    images_arrive(context, 4, "1.4", "p_2", accession="A3")
    context = ran(config)
    found = matches(context)
    patients = [("patient", "p_1", ""), ("patient", "p_2", "")]
    joined = report_of(context, "Joined")
    assert found[joined] == [("patient", "p_1", ""), ("study", "st_1", "study_uid")]
    assert found[report_of(context, "conflict")] == patients
    assert found[report_of(context, "two patients")] == patients
    value = link_key("study_uid", "9.9", key=context.vault.key)
    assert found[report_of(context, "nobody")] == [("link", value, "")]
    aside = context.store.read("quarantine", ["stage", "item", "reason"]).to_pylist()
    assert {(row["stage"], row["item"], row["reason"]) for row in aside} == {
        ("match", report_of(context, "conflict"), "conflicting_links"),
        ("match", report_of(context, "two patients"), "ambiguous_links"),
    }


def test_a_name_of_very_many_studies_tells_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "r.csv"
    rows = [("1.1", "0", "Named by its UID."), ("", "0", "Named by nothing else.")]
    write_reports(file, *rows, heads="study_uid,accession,report")
    config = made(tmp_path, {"path": file})
    context = discover(config)
    links, volumes = [], []
    for number in range(1, matching.MOST + 3):
        links += study(context, number, f"1.{number}", "p_1", accession="0")
        volumes.append(volume(number, f"st_{number}", "p_1"))
    context.store.replace("links", [one.stated_by for one in links], links)
    context.store.replace("volumes", [one.study_id for one in volumes], volumes)
    context = ran(config)
    assert studies_of(context, report_of(context, "UID")) == ["st_1"]
    other = report_of(context, "nothing else")
    assert studies_of(context, other) == []
    (aside,) = context.store.read("quarantine").to_pylist()
    assert (aside["stage"], aside["item"], aside["reason"]) == ("match", other, "ambiguous_links")


def test_one_more_series_of_a_study_remakes_no_match(tmp_path: Path):
    config = three_reports(tmp_path)
    context = ran(config)
    images_arrive(context, 1, "1.0", "p_1")
    remade(context, match_stage())
    again = link("study", "st_1", "study_uid", link_key("study_uid", "1.0", key=context.vault.key))
    more = Link(**{**_fields(again), "stated_by": "se_7"})
    context.store.replace("links", ["se_7"], [more])
    assert remade(context, match_stage()) == []


def _fields(row: Link) -> dict[str, str]:
    return {name: getattr(row, name) for name in TABLES["links"].columns}


def test_table_of_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "r.csv"
    heads = "study_uid,report,report_status"
    rows = [
        ("1", "Liver cyst.", "final"),
        ("1", "Liver stone.", "corrected"),
        ("2", "Normal.", "final"),
    ]
    write_reports(file, *rows, heads=heads)
    config = made(tmp_path, {"path": file})
    context = discover(config)
    read: list[str] = []
    originals = Vault.reports

    def counted(self: Vault, report_ids: Any) -> Any:
        asked = list(report_ids)
        read.extend(asked)
        return originals(self, asked)

    monkeypatch.setattr(Vault, "reports", counted)
    alone = next(i for i in remade(context, versions_stage(EN)) if i not in read)
    told = {row["report_id"]: row for row in context.store.read("report_versions").to_pylist()}
    assert len(told) == 3
    nothing = {"successor": None, "reason": None, "language": None}
    assert told[alone] == {"report_id": alone, **nothing}
    (old,) = (report for report, row in told.items() if row["successor"])
    assert told[old]["reason"] == "corrected_report"
    assert told[told[old]["successor"]]["successor"] is None
    assert sorted(read) == sorted(set(told) - {alone})
