"""A patient or study leaves store and vault; the others stay as they are."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import StoreError
from fvlm_data.forget.record import checks
from fvlm_data.forget.targets import Named, resolved
from fvlm_data.identity.backup import back_up, restore
from fvlm_data.identity.vault import Vault
from fvlm_data.inspect.vault import vault_checks
from fvlm_data.inspect.verify import verify
from fvlm_data.review.decisions import take_in
from fvlm_data.review.standing import Chosen, set_applied
from fvlm_data.run.stages import build_stages
from fvlm_data.shards.apart import write_apart
from tests.e2e.chain import run_chain, snapshot
from tests.forget.conftest import World, patients
from tests.forget.searched import bytes_of, hits, ids_of, originals
from tests.review.made import entry

STUDY_OF = "study_id"


pytestmark = pytest.mark.full


def of_patient(world: World, number: int) -> tuple[str, list[str]]:
    """Id of the patient with so many studies, and of the studies."""
    rows = world.opened().read("volumes", ["patient_id", "study_id"]).to_pylist()
    for patient in {row["patient_id"] for row in rows}:
        studies = sorted({row["study_id"] for row in rows if row["patient_id"] == patient})
        if len(studies) == number:
            return patient, studies
    raise AssertionError("the phantom has other patients")


def texts_of(world: World, studies: list[str]) -> set[str]:
    """A sentence of each report of the studies."""
    store = world.opened()
    joined = store.read("study_reports").to_pylist()
    reports = {row["report_id"] for row in joined if row["study_id"] in studies}
    others = {row["report_id"] for row in joined} - reports
    rows = store.read("sentences", ["report_id", "text"]).to_pylist()
    told = {row["text"] for row in rows if row["report_id"] in others}
    mine = {row["text"] for row in rows if row["report_id"] in reports}
    return {text for text in mine - told if len(text) > 40}


def without(rows: dict[str, list[str]], ids: set[str]) -> dict[str, list[str]]:
    """A snapshot without the rows that name one of the ids, and without what discovery counted."""
    return {
        table: [
            row
            for row in content
            if not any(one in row for one in ids)
            and not (table == "ledger" and '"stage": "discover' in row)
        ]
        for table, content in rows.items()
    }


def assert_content(world: World) -> None:
    context = world.context()
    stages = build_stages(world.config())
    found = [*verify(context.store, stages, deep=True), *vault_checks(context), *checks(context)]
    assert [(check.name, check.examples) for check in found if not check.passed] == []


def run(world: World, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["forget", *arguments, "--store", str(world.store)])
    assert done.exit_code == code, done.output
    return done.output


def reviewed(world: World, studies: list[str]) -> None:
    """Decisions on the studies, with another one, and on that alone; all applied."""
    context = world.context()
    vocabulary = world.config().vocabulary.load()
    (other,) = set(context.store.read("volumes")["study_id"].to_pylist()) - set(studies)
    told = [
        *(entry("study", study) for study in studies),
        entry("pair", f"{studies[0]}:{other}:liver"),
        entry("study", other, "right"),
    ]
    taken = take_in(context, told, vocabulary, lambda subject, right: None, "reader")
    assert taken == {"taken": len(told)}
    set_applied(context, vocabulary, Chosen(), applied=True)
    assert write_apart(context) == 1


def test_a_patient_leaves_and_is_not_taken_in_again(world: World):
    patient, studies = of_patient(world, 2)
    original = patients(world.phantom)[2]
    ids = ids_of(world.opened(), studies, patient=patient)
    words = originals(world.phantom / "dicom" / original) | texts_of(world, studies)
    assert len(ids) > 50
    assert len(words) > 5
    reviewed(world, studies)
    before = snapshot(world.store, placement=False)
    found = {hit.split(" in ")[0] for hit in hits(world.places, ids | words)}
    assert ids <= found  # the search does find what is there
    assert original in found

    printed = run(world, patient)
    assert "prove it by `fvlm-data forget --check`" in printed
    assert hits(world.places, ids | words) == []
    assert_content(world)
    after = snapshot(world.store, placement=False)
    assert without(after, ids) == without(before, ids)
    assert len(after["arrays"]) == 1
    assert [len(after[table]) for table in ("decisions", "review_effects")] == [1, 0]
    told = json.loads(next((world.store / "forgotten").glob("*.json")).read_bytes())["told"]
    assert told["asked"] == {"patient": 1}
    assert told["rows"]["volumes"] == 2
    assert told["rows"]["quarantine"] >= 2  # the files that were set aside as well
    assert not words & set(json.dumps(told).split('"'))

    summary = run_chain(world.config())
    assert summary.set_aside["out_of_scope:forgotten"] > 50
    made = [counts.get("accepted", 0) for name, counts in summary.stages.items()
            if not name.startswith("discover")]  # fmt: skip
    assert sum(made) == 0
    again = snapshot(world.store, placement=False)
    told_of = world.opened().read("quarantine", None, [("reason", "=", "forgotten")])
    tokens = set(told_of["item"].to_pylist())
    assert without(again, tokens) == without(after, tokens)
    assert hits(world.places, ids | words) == []
    assert_content(world)
    assert run(world, "--check").count("ok ") == 2


def test_a_study_goes_by_its_original_id(world: World, tmp_path: Path):
    patient, studies = of_patient(world, 2)
    folder = world.phantom / "dicom" / patients(world.phantom)[2]
    uid = study_uid(folder / "ST2")
    (target,) = resolved(world.context(), [Named("", uid, "", "here")])
    (gone,) = target.ids
    assert gone in studies
    ids = ids_of(world.opened(), [gone])
    kept = ids_of(world.opened(), [study for study in studies if study != gone])
    ids -= kept
    before = snapshot(world.store, placement=False)
    listed = tmp_path / "withdrawn.csv"
    listed.write_text(f"study_uid\n{uid}\n")

    untouched = bytes_of(world.folder)
    assert "would go: 1 study" in run(world, str(listed), "--dry-run")
    assert bytes_of(world.folder) == untouched

    run(world, str(listed))
    words = originals(folder / "ST2") - originals(folder / "ST1")
    assert hits(world.places, ids | words) == []
    assert_content(world)
    after = snapshot(world.store, placement=False)
    assert without(after, ids) == without(before, ids)
    assert patient in {row["patient_id"] for row in world.opened().read("volumes").to_pylist()}


def study_uid(folder: Path) -> str:
    """StudyInstanceUID of the files in a folder."""
    file = next(path for path in sorted(folder.rglob("*.dcm")))
    return str(pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID)


def killed_at(world: World, patient: str, change: int) -> int:
    """Forget in another process that is killed before a change; returns its exit status."""
    values = {"store": str(world.store), "phantom": str(world.phantom), "patient": patient}
    given = json.dumps({**values, "change": change})
    command = [sys.executable, "-m", "tests.forget.killed_forget", given]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode


POINTS = (0, 1, 2, 5, 8, 12, 20, 27, 34, 40, 46, 52, 60, 70, 80, 90)


@pytest.mark.parametrize("change", POINTS)
def test_a_killed_forgetting_is_finished_by_the_next(world: World, change: int):
    patient, studies = of_patient(world, 2)
    ids = ids_of(world.opened(), studies, patient=patient)
    before = snapshot(world.store, placement=False)
    assert killed_at(world, patient, change) == -signal.SIGKILL
    begun = Vault.open(world.folder / "vault").note("forgetting") is not None
    if begun:
        # nothing else may work on what is half gone
        with pytest.raises(StoreError, match="finish it by `fvlm-data forget --resume`"):
            run_chain(world.config())
        assert "record: forgotten/" in run(world, "--resume")
    else:
        run(world, patient)
    assert hits(world.places, ids) == []
    assert_content(world)
    after = snapshot(world.store, placement=False)
    assert without(after, ids) == without(before, ids)
    assert len(list((world.store / "forgotten").glob("*.json"))) == 1
    assert "nothing was interrupted" in run(world, "--resume")


def test_a_forgetting_that_ends_is_not_killed(world: World):
    patient, _ = of_patient(world, 1)
    assert killed_at(world, patient, 100_000) == 0
    assert_content(world)


def test_a_backup_does_not_bring_it_back(world: World, tmp_path: Path):
    patient, studies = of_patient(world, 1)
    ids = ids_of(world.opened(), studies, patient=patient)
    words = originals(world.phantom / "dicom" / patients(world.phantom)[1])
    back_up(world.context().vault, tmp_path / "backup")
    run(world, patient)
    restore(tmp_path / "backup", world.folder / "vault")
    assert hits([world.folder / "vault"], ids | words) == []
    run(world, patient, code=2)


def test_a_changed_or_lost_record_is_told(world: World):
    patient, _ = of_patient(world, 1)
    run(world, patient)
    (record,) = (world.store / "forgotten").glob("*.json")
    whole = record.read_text()
    record.write_text(whole.replace('"patient": 1', '"patient": 2'))
    assert "BROKEN the records" in run(world, "--check", code=1)
    record.unlink()
    assert "BROKEN the records" in run(world, "--check", code=1)
    record.write_text(whole)
    run(world, "--check")


def test_a_recorded_export_goes_with_the_patient(world: World, tmp_path: Path):
    patient, _ = of_patient(world, 1)
    folders = [tmp_path / name for name in ("whole", "tables", "changed")]
    for folder, form in zip(folders, ("webdataset", "tables", "webdataset"), strict=True):
        done = CliRunner().invoke(app, ["export", form, str(folder), "--store", str(world.store)])
        assert done.exit_code == 0, done.output
    (folders[2] / "mine.txt").write_text("a note of the user's")
    assert "recorded exports" in run(world, patient, code=1)
    assert [folder.exists() for folder in folders] == [False, False, True]
    assert len(list((world.store / "exports").glob("*.json"))) == 1


def test_it_waits_for_runs_and_runs_for_it(world: World):
    patient, _ = of_patient(world, 1)
    context = world.context()
    from fvlm_data.store.leases import alone, at_work

    untouched = bytes_of(world.folder)
    with at_work(context.store, "another"):
        assert "1 run(s) are at work on it (another)" in " ".join(
            run(world, patient, code=2).split()
        )
    assert bytes_of(world.folder) == untouched
    with alone(context.store, lambda: False), pytest.raises(StoreError, match="being forgotten"):
        run_chain(world.config(), stages=["ingest"])
    assert bytes_of(world.folder) == untouched


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("p_00000000000000000000",), "is not in the store"),
        (("nobody",), "names nothing of the store"),
        (("nobody", "--kind", "name"), "expected one of patient_id, study_uid, accession"),
        ((), "expected one of PATIENT"),
        (("",), "an empty name"),
    ],
)
def test_what_names_nobody_is_refused(world: World, arguments: tuple[str, ...], told: str):
    untouched = bytes_of(world.folder)
    assert told in " ".join(run(world, *arguments, code=2).split())
    assert bytes_of(world.folder) == untouched
