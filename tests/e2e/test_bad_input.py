"""What a user gets who offers the wrong thing: one sentence, or a row; the store stays whole."""

from __future__ import annotations

import csv
import errno
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.inspect.verify import verify
from fvlm_data.store.tables import Store
from tests.ingest.series import Series, write

REPORT = "FINDINGS: The liver is normal. IMPRESSION: Normal."


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, " ".join(result.output.split())


def reasons(store: Path) -> set[tuple[str, str]]:
    rows = Store.open(store).read("quarantine", ["kind", "reason"]).to_pylist()
    return {(row["kind"], row["reason"]) for row in rows}


def broken(store: Path) -> list[str]:
    return [check.name for check in verify(Store.open(store)) if not check.passed]


def table(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return path


def test_an_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    source = tmp_path / "empty"
    source.mkdir()
    code, said = run("ingest", source, "--store", tmp_path / "store")
    assert code == 2
    assert "error:" in said
    assert "Traceback" not in said
    assert not (tmp_path / "store").exists()


def test_a_folder_of_junk_is_set_aside_file_by_file(tmp_path: Path) -> None:
    source = tmp_path / "junk"
    source.mkdir()
    (source / "notes.txt").write_text("no image")
    (source / "empty").touch()
    code, _ = run("ingest", source, "--store", tmp_path / "store")
    assert code == 0
    assert len(Store.open(tmp_path / "store").read("quarantine")) == 2
    assert broken(tmp_path / "store") == []


def test_a_truncated_slice_is_told_apart_from_its_sound_neighbours(tmp_path: Path) -> None:
    paths = write(Series().datasets(), tmp_path / "archive" / "a")
    paths[2].write_bytes(paths[2].read_bytes()[:-60])
    sound = Series(series_uid="1.2.3.4.6")
    write(sound.datasets(), tmp_path / "archive" / "b")
    code, _ = run("ingest", tmp_path / "archive", "--store", tmp_path / "store")
    assert code == 0
    store = Store.open(tmp_path / "store")
    assert store.count("volumes") == 1
    assert ("fault", "incomplete_series") in reasons(tmp_path / "store")
    assert broken(tmp_path / "store") == []


@pytest.mark.full
def test_study_and_report_wait_for_each_other(tmp_path: Path) -> None:
    store = tmp_path / "store"
    write(Series().datasets(), tmp_path / "archive")
    reports = table(tmp_path / "r.csv", ("study_uid", "report"), ("9.9.9", REPORT))
    assert run("ingest", tmp_path / "archive", "--store", store)[0] == 0
    assert run("reports", reports, "--store", store)[0] == 0
    code, said = run("pair", "--store", store)
    assert code == 0
    assert "report waits for study 1" in said
    assert "study waits for report 1" in said
    assert broken(store) == []


@pytest.mark.full
def test_two_reports_of_one_study_are_both_kept_and_a_repeated_row_once(tmp_path: Path) -> None:
    store = tmp_path / "store"
    write(Series().datasets(), tmp_path / "archive")
    uid = Series().study_uid
    reports = table(
        tmp_path / "r.csv",
        ("study_uid", "report"),
        (uid, REPORT),
        (uid, "ADDENDUM: The spleen is enlarged."),
        (uid, REPORT),
        ("", REPORT),
        (uid, "  "),
    )
    run("ingest", tmp_path / "archive", "--store", store)
    run("reports", reports, "--store", store)
    run("pair", "--store", store)
    rows = Store.open(store).read("study_reports").to_pylist()
    assert sorted(row["order"] for row in rows) == [0, 1]
    assert reasons(store) >= {
        ("duplicate", "same_report"),
        ("fault", "no_link"),
        ("fault", "empty_report"),
    }
    assert broken(store) == []


def test_a_wrong_column_name_is_one_sentence_with_the_columns_there_are(tmp_path: Path) -> None:
    reports = table(tmp_path / "r.csv", ("uid", "words"), ("1", REPORT))
    code, said = run("reports", reports, "--store", tmp_path / "store", "--column", "report=txt")
    assert code == 2
    assert "'txt'" in said
    assert "uid, words" in said


def test_a_store_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    code, said = run("verify", "--store", tmp_path / "nowhere")
    assert code == 2
    assert "no store found there" in said


def test_a_full_disk_stops_the_run_and_leaves_the_store_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    write(Series().datasets(), tmp_path / "archive")

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        code, said = run("ingest", tmp_path / "archive", "--store", store)
    assert code == 2
    assert "No space left on device" in said
    assert Store.open(store).count("volumes") == 0
    assert run("ingest", tmp_path / "archive", "--store", store)[0] == 0
    assert Store.open(store).count("volumes") == 1
    assert broken(store) == []
