"""A vault that has lost names: nothing is scrubbed by fewer, and a backup brings them back."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import StoreError
from fvlm_data.identity.backup import back_up, restore
from fvlm_data.identity.vault import Vault
from fvlm_data.inspect.vault import vault_checks
from fvlm_data.inspect.verify import verify
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.records import open_context
from fvlm_data.store.tables import Store
from tests.ingest.series import Series, write
from tests.reports.driven import made, ran
from tests.reports.test_stage import images_arrive

STAGES = ["ingest", "select", "versions", "match", "reports"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A scan of Mustermann, read into a store with a report that names her."""
    series = Series(patient_name="Mustermann^Erika", patient_id="PAT-1", study_uid="1.2.3")
    write(series.datasets(), tmp_path / "archive")
    write_reports(tmp_path, "Mustermann: liver cyst.")
    config = load_config(
        values={
            "store": str(tmp_path / "store"),
            "identity": {"vault": str(tmp_path / "vault")},
            "sources": [{"kind": "dicom", "path": str(tmp_path / "archive")}],
            "reports": [{"path": str(tmp_path / "r.csv")}],
        }
    )
    curate(config, STAGES)
    assert texts(config) == ["[NAME]: liver cyst."]
    return config


def write_reports(folder: Path, *reports: str) -> None:
    with (folder / "r.csv").open("w", encoding="utf-8", newline="") as handle:
        rows = [("1.2.3", report) for report in reports]
        csv.writer(handle).writerows([("study_uid", "report"), *rows])


def texts(config: Config) -> list[str]:
    return sorted(Store.open(config.store).read("reports", ["text"])["text"].to_pylist())


def lose_contents(tmp_path: Path) -> None:
    (tmp_path / "vault" / "vault.sqlite").unlink()


def test_a_vault_that_kept_its_key_alone_runs_nothing(tmp_path: Path, config: Config):
    lose_contents(tmp_path)
    write_reports(tmp_path, "Mustermann: liver cyst.", "Mustermann: renal cyst.")
    with pytest.raises(StoreError, match=r"0 patients, expected at least 1.*vault restore"):
        curate(config, STAGES)
    assert texts(config) == ["[NAME]: liver cyst."]


def test_so_does_a_worker_and_a_stage(tmp_path: Path):
    """Where the store has not seen how much the vault knew: of a killed run, or an older one."""
    file = tmp_path / "r.jsonl"
    file.write_text('{"study_uid": "1.2.3.4", "report": "Mrs. Mustermann: liver cyst."}')
    made_config = made(tmp_path, {"path": file})
    context = ran(made_config)
    images_arrive(context)
    with context.vault.contents.connection() as connection:
        connection.execute("DELETE FROM patients")
    with pytest.raises(StoreError, match=r"names of 1 patients are not in it .*p_1.*restore"):
        ran(made_config)


def test_fewer_names_of_one_patient_are_noticed(tmp_path: Path, config: Config):
    vault = Vault.open(tmp_path / "vault")
    back_up(vault, tmp_path / "older")
    context = open_context(config)
    (patient,) = context.store.read("identity_marks", ["owner_id"])["owner_id"].to_pylist()
    vault.remember_patient(patient, ["Mustermann born Beispielname"])
    curate(config, STAGES)
    shutil.copyfile(tmp_path / "older" / "vault.sqlite", tmp_path / "vault" / "vault.sqlite")
    with pytest.raises(StoreError, match="name bytes, expected at least"):
        curate(config, STAGES)


def test_check_and_verify_tell_what_is_lost(tmp_path: Path, config: Config):
    runner = CliRunner()
    store = ["--store", config.store]
    assert runner.invoke(app, ["vault", "check", *store]).exit_code == 0
    assert runner.invoke(app, ["verify", *store]).exit_code == 0
    lose_contents(tmp_path)
    for command in (["vault", "check"], ["verify"]):
        told = runner.invoke(app, [*command, *store])
        assert told.exit_code == 1
        names = "the names of patients, under each id that a report may use"
        assert f"BROKEN the vault holds {names} (1 told, 1 lacking)" in told.output
        assert "Mustermann" not in told.output
    assert [one.passed for one in vault_checks(open_context(config))] == [False] * 4


def test_a_backup_brings_back_what_was_lost(tmp_path: Path, config: Config):
    runner = CliRunner()
    store = ["--store", config.store]
    folder = tmp_path / "backup"
    assert runner.invoke(app, ["vault", "backup", str(folder), *store]).exit_code == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    again = runner.invoke(app, ["vault", "backup", str(folder), *store])
    assert again.exit_code != 0
    assert "not empty" in again.output
    lose_contents(tmp_path)
    done = runner.invoke(app, ["vault", "restore", str(folder), *store])
    assert "1 patients" in done.output
    assert runner.invoke(app, ["vault", "check", *store]).exit_code == 0
    write_reports(tmp_path, "Mustermann: liver cyst.", "Mustermann: renal cyst.")
    curate(config, STAGES)
    assert texts(config) == ["[NAME]: liver cyst.", "[NAME]: renal cyst."]


def test_what_a_vault_has_learnt_since_stays(tmp_path: Path):
    vault = Vault.open(tmp_path / "vault")
    vault.remember_patient("p_1", ["DOE"])
    vault.remember_files({"f_1": "a", "f_2": "b"})
    back_up(vault, tmp_path / "backup")
    vault.remember_patient("p_1", ["ROE"])
    vault.remember_files({"f_2": "c"})
    restore(tmp_path / "backup", tmp_path / "vault")
    assert vault.patient_identities(["p_1"]) == {"p_1": ["DOE", "ROE"]}
    assert vault.file_paths(["f_1", "f_2"]) == {"f_1": "a", "f_2": "c"}


@pytest.mark.parametrize("damage", ["vault", "file"])
def test_a_lost_folder_and_a_damaged_file_come_back(tmp_path: Path, damage: str):
    place = tmp_path / "vault"
    vault = Vault.open(place)
    vault.remember_patient("p_1", ["DOE"])
    back_up(vault, tmp_path / "backup")
    if damage == "vault":
        shutil.rmtree(place)
    else:
        (place / "vault.sqlite").write_bytes(b"no database" * 100)
    assert restore(tmp_path / "backup", place)["patients"] == 1
    assert Vault.open(place).patient_identities(["p_1"]) == {"p_1": ["DOE"]}
    assert (place / "vault.sqlite.damaged").exists() == (damage == "file")


def test_a_backup_of_another_vault_is_refused(tmp_path: Path, config: Config):
    Vault.open(tmp_path / "other")
    back_up(Vault.open(tmp_path / "other"), tmp_path / "backup")
    with pytest.raises(StoreError, match="its key is not that of vault"):
        restore(tmp_path / "backup", tmp_path / "vault")
    with pytest.raises(StoreError, match=r"no key and vault\.sqlite found"):
        restore(tmp_path / "nothing", tmp_path / "vault")
    told = CliRunner().invoke(
        app, ["vault", "restore", str(tmp_path / "backup"), "--store", config.store]
    )
    assert told.exit_code != 0


@pytest.mark.parametrize(
    ("policy", "kept", "waits"),
    [
        ("keep", ["Li enhancement, kidney stone."], []),
        ("remove", ["[NAME] enhancement, kidney [NAME]."], []),
        ("hold", [], ["needs_review_of_names"]),
    ],
)
def test_doubtful_names(tmp_path: Path, policy: str, kept: list[str], waits: list[str]):
    write(Series(patient_name="Stone^Li", study_uid="1.2.3").datasets(), tmp_path / "archive")
    write_reports(tmp_path, "Li enhancement, kidney stone.")
    config = load_config(
        values={
            "store": str(tmp_path / "store"),
            "identity": {"vault": str(tmp_path / "vault")},
            "sources": [{"kind": "dicom", "path": str(tmp_path / "archive")}],
            "reports": [{"path": str(tmp_path / "r.csv")}],
            "parse": {"doubtful_names": policy},
        }
    )
    curate(config, [*STAGES, "split", "pair"])
    store = Store.open(config.store)
    assert texts(config) == kept
    rows = store.read("waiting").to_pylist()
    assert [row["waits_for"] for row in rows if row["owner_kind"] == "report"] == waits
    counts = [row["value"] for row in store.read("measures").to_pylist() if "doubt" in row["name"]]
    assert counts == ([] if policy == "remove" else [2.0])
    assert [check.name for check in verify(store) if not check.passed] == []


@pytest.mark.full
def test_no_vault_and_no_backup_lies_within_the_store(tmp_path: Path, config: Config):
    curate(config)
    store = Path(config.store)
    told = CliRunner().invoke(app, ["vault", "backup", str(store / "kept"), "--store", str(store)])
    assert told.exit_code == 2
    assert "lies within store" in told.stderr
    assert not (store / "kept").exists()
    within = {**config.model_dump(mode="json"), "identity": {"vault": str(store / "vault")}}
    with pytest.raises(StoreError, match="lies within store"):
        curate(load_config(values=within))


def older_vault(tmp_path: Path, config: Config) -> None:
    """More patients and a report come in after a backup; the vault then is that backup's."""
    back_up(Vault.open(tmp_path / "vault"), tmp_path / "older")
    more = [
        Series(
            patient_name="Beispiel^Otto",
            patient_id="PAT-2",
            series_uid="1.2.4.1",
            study_uid="1.2.4",
        ),
        Series(patient_name="Verweigert^Ida", patient_id="PAT-3", study_uid="1.2.5", slices=2),
        Series(patient_name="Anderer^Karl", patient_id="PAT-4", study_uid="1.2.6", slices=1),
    ]
    for number, series in enumerate(more):
        datasets = series.datasets()
        for dataset in datasets if number == 2 else ():
            dataset.Modality, dataset.SOPClassUID = "MR", "1.2.840.10008.5.1.4.1.1.4"
        write(datasets, tmp_path / "archive" / str(number))
    with (tmp_path / "r.csv").open("w", encoding="utf-8", newline="") as handle:
        rows = [
            ("1.2.3", "Mustermann: liver cyst."),
            ("1.2.4", "Beispiel: renal cyst."),
            ("1.2.5", "Verweigert: gallstones."),
            ("1.2.6", "Anderer: small hiatal hernia."),
        ]
        csv.writer(handle).writerows([("study_uid", "report"), *rows])
    curate(config, STAGES)
    assert len(texts(config)) == 4
    assert "Beispiel" not in str(texts(config))
    shutil.rmtree(tmp_path / "vault")
    (tmp_path / "older").rename(tmp_path / "vault")


def configuration(tmp_path: Path, config: Config) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(config.model_dump(mode="json", exclude_unset=True)))
    return str(path)


def test_an_older_vault_learns_from_the_sources_what_it_lacks(tmp_path: Path, config: Config):
    older_vault(tmp_path, config)
    with pytest.raises(StoreError, match="fvlm-data vault relearn"):
        curate(config, STAGES)
    before = {
        table: str(Store.open(config.store).read(table).to_pylist())
        for table in ("inputs", "links", "identity_marks", "reports", "ledger")
    }
    runner = CliRunner()
    store = ["--store", config.store]
    done = runner.invoke(app, ["vault", "relearn", *store])
    assert done.exit_code == 0, done.output
    assert "the vault knows all names again" in done.output
    assert "Beispiel" not in done.output
    after = {table: str(Store.open(config.store).read(table).to_pylist()) for table in before}
    assert after == before
    assert runner.invoke(app, ["vault", "check", *store]).exit_code == 0
    assert runner.invoke(app, ["verify", *store]).exit_code == 0
    names = " ".join(texts(config))
    changed = config.model_copy(
        update={"parse": config.parse.model_copy(update={"doubtful_names": "remove"})}
    )
    curate(changed, STAGES)  # all reports are scrubbed again
    assert " ".join(texts(config)) == names


@pytest.mark.full
def test_what_no_source_tells_any_more_is_named(tmp_path: Path, config: Config):
    older_vault(tmp_path, config)
    gone = tmp_path / "archive" / "0"
    gone.rename(tmp_path / "gone")
    write_reports(tmp_path, "Mustermann: liver cyst.")
    runner = CliRunner()
    told = runner.invoke(app, ["vault", "relearn", "--store", config.store])
    assert told.exit_code == 1
    assert "lacking: 1 series whose names no source tells" in told.output
    assert "lacking: 3 original reports that no source holds" in told.output
    with pytest.raises(StoreError, match="expected at least"):
        curate(config, STAGES)
    (tmp_path / "gone").rename(gone)
    told = runner.invoke(app, ["vault", "relearn", "--store", config.store])
    assert told.exit_code == 0, told.output
    curate(config, STAGES)
    assert [one for one in texts(config) if "Beispiel" in one or "Verweigert" in one] == []


@pytest.mark.full
def test_a_vault_that_lost_all_wants_the_configuration(tmp_path: Path, config: Config):
    lose_contents(tmp_path)
    runner = CliRunner()
    told = runner.invoke(app, ["vault", "relearn", "--store", config.store])
    assert told.exit_code == 2
    assert "--config" in told.output
    named = ["--store", config.store, "--config", configuration(tmp_path, config)]
    told = runner.invoke(app, ["vault", "relearn", *named])
    assert told.exit_code == 0, told.output
    write_reports(tmp_path, "Mustermann: liver cyst.", "Mustermann: renal cyst.")
    curate(config, STAGES)
    assert texts(config) == ["[NAME]: liver cyst.", "[NAME]: renal cyst."]
