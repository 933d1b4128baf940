"""Who refuses a purpose is left out of exports and training for it, and nothing is lost."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.consent.restrict import restrict
from fvlm_data.errors import InputError, StoreError
from fvlm_data.export.source import open_source
from fvlm_data.forget.targets import Target
from fvlm_data.identity.vault import Vault
from fvlm_data.inspect.explain import explain
from fvlm_data.inspect.verify import verify
from fvlm_data.shards import ShardDataset
from fvlm_data.shards.restricted import PATH, agrees, left_out, write_restricted
from fvlm_data.store.tables import Store
from fvlm_train.data.snapshot import snapshot
from fvlm_train.data.splits import open_split
from tests.export.conftest import make_store
from tests.forget.searched import hits
from tests.forget.test_small_stores import WORDS, A, B, Ward, series
from tests.shards.conftest import World

PATIENT = Target("here", "patient", ("p_01",))
STUDY = Target("line 3", "study", ("st_02",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store of six samples and of its vault."""
    folder = tmp_path_factory.mktemp("made")
    make_store(folder)
    return folder


@pytest.fixture
def world(made: Path, tmp_path: Path) -> World:
    shutil.copytree(made, tmp_path / "copy")
    return World(Store.open(tmp_path / "copy" / "store"), Vault.open(tmp_path / "copy" / "vault"))


def read(world: World, purpose: str | None = None) -> dict[str, tuple[set[str], int]]:
    """By split the studies that are read for a purpose, and the number of samples left out."""
    found = {}
    for split in ("train", "validation", "test"):
        dataset = pickle.loads(pickle.dumps(ShardDataset(world.store.url, split, purpose=purpose)))
        found[split] = (set(dataset.rows["study_id"].to_pylist()), dataset.restricted)
    return found


def test_samples_stand_and_are_left_out_until_it_is_taken_back(world: World):
    whole = read(world)
    arrays = {p: world.store.read_bytes(p) for p in world.store.files("shards")}
    done = restrict(world.context, [PATIENT], "research")
    assert (done.patients, done.studies, done.known, done.samples) == (1, 0, 0, 1)
    left = {**whole, "train": (whole["train"][0] - {"st_01"}, 1)}
    assert read(world, "research") == left
    assert read(world) == left  # no purpose named: it might be this one
    assert {p: world.store.read_bytes(p) for p in arrays} == arrays
    # what another purpose is allowed depends on its being known: a wrong name lets nobody in
    with pytest.raises(
        InputError, match=r"purpose reserch: .* expected one of research; name none"
    ):
        read(world, "reserch")
    assert restrict(world.context, [STUDY], "teaching").studies == 1
    assert read(world, "teaching")["validation"] == (whole["validation"][0] - {"st_02"}, 1)
    assert read(world, "teaching")["train"] == whole["train"]
    assert sum(number for _, number in read(world).values()) == 2
    restrict(world.context, [PATIENT], "research", lift=True)
    assert read(world, "research") == whole
    states = world.store.read("restrictions", ["owner_id", "state"]).to_pylist()
    assert {row["owner_id"]: row["state"] for row in states} == {
        "p_01": "allowed",
        "st_02": "refused",
    }


def test_a_patient_covers_studies_and_purposes_are_apart(world: World):
    restrict(world.context, [PATIENT, STUDY], "research")
    again = restrict(world.context, [PATIENT], "research")
    assert (again.patients, again.known) == (0, 1)
    restrict(world.context, [PATIENT], "teaching")  # the row of research stays
    assert world.store.count("restrictions") == 3
    sample = ShardDataset(world.store.url, "validation", purpose="teaching")[0]
    assert explain_restricted(world, sample.sample_id) == ["research"]
    with pytest.raises(InputError, match="line 3: has not refused teaching; nothing to take back"):
        restrict(world.context, [PATIENT, STUDY], "teaching", lift=True)
    assert world.store.count("restrictions") == 3
    with pytest.raises(InputError, match="expected a plain word in lower case"):
        restrict(world.context, [PATIENT], "Dr. Meier")


def explain_restricted(world: World, sample: str) -> Any:
    return explain(world.context, sample)["restricted_for"]


def test_a_dry_run_writes_nothing(world: World):
    before = world.store.version("restrictions")
    done = restrict(world.context, [PATIENT], "research", dry_run=True)
    assert (done.patients, done.samples) == (1, 1)
    assert world.store.version("restrictions") == before
    assert not world.store.exists(PATH)


def test_exports_and_training_leave_out_and_count(world: World):
    content = open_source(world.store.url).content
    restrict(world.context, [PATIENT], "research")
    source = open_source(world.store.url, purpose="research")
    assert source.restricted == 1
    assert source.content != content
    samples = open_split(world.store.url, "train", purpose="research")
    part = snapshot(samples, torch.zeros(1, dtype=torch.uint8), 0)
    assert (part.samples, part.purpose, part.restricted) == (2, "research", 1)
    owners = [Target("x", "patient", (f"p_{number:02}",)) for number in range(6)]
    restrict(world.context, owners, "research")
    with pytest.raises(InputError, match="all 6 samples in train, validation, test are restricted"):
        open_source(world.store.url)
    with pytest.raises(InputError, match="samples of split train are restricted"):
        open_split(world.store.url, "train")


def test_a_file_that_lags_is_told_and_written_anew(world: World):
    assert agrees(world.store)
    restrict(world.context, [PATIENT], "research")
    assert agrees(world.store)
    world.store.remove(PATH)  # as a kill between row and file leaves it
    assert [c.examples for c in verify(world.store) if PATH in c.name] == [(PATH,)]
    write_restricted(world.store)
    assert agrees(world.store)
    assert read(world, "research")["train"][1] == 1
    world.store.write_bytes(PATH, b"[]")
    with pytest.raises(StoreError, match=r"restricted\.json cannot be read"):
        read(world)


def test_no_restriction_knows_every_purpose():
    assert left_out({}, "anything") == left_out({}, None) == frozenset()
    refused = {"a": frozenset({"p_1"}), "b": frozenset[str]()}
    assert left_out(refused, "b") == frozenset()
    assert left_out(refused, None) == left_out(refused, "a") == {"p_1"}


def test_what_is_ingested_later_is_restricted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "vault"))
    ward = Ward(tmp_path)
    ward.add(series(B))
    ward.run()
    store = str(ward.places[0])

    def call(*words: str) -> Any:
        result = CliRunner().invoke(app, [*words, "--store", store, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    # A is not there yet: the id is made of the original one
    said = ("restrict", A, "--kind", "patient_id", "--purpose", "research")
    assert call(*said, "--dry-run")["patients"] == 1
    assert call(*said)["patients"] == 1
    ward.add(series(A))
    ward.run()
    assert ward.patients() == 2
    assert call("status")["restricted"] == {"research": 1}
    out = tmp_path / "out"
    told = call("export", "tables", str(out), "--purpose", "research")
    assert (told["restricted"], told["purpose"]) == (1, "research")
    volumes = ward.store.read("volumes", ["patient_id", "volume_id", "series_id"]).to_pylist()
    (owner,) = ward.store.read("restrictions")["owner_id"].to_pylist()
    mine = {one for row in volumes if row["patient_id"] == owner for one in row.values()}
    assert len(mine) == 3
    written = {path.stem: pq.read_table(path).to_pylist() for path in out.glob("*.parquet")}
    assert len(written["volumes"]) == 1
    assert not any(one in json.dumps(written) for one in mine)
    assert call(*said, "--lift")["patients"] == 1
    assert call("export", "tables", str(tmp_path / "all"))["restricted"] == 0
    assert pq.read_table(tmp_path / "all" / "volumes.parquet").num_rows == 2
    assert ward.wrong() == []


@pytest.mark.full
def test_forgetting_takes_the_restriction_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "vault"))
    ward = Ward(tmp_path)
    ward.add(series(A))
    ward.add(series(B))
    ward.run()
    words = ["--kind", "patient_id", "--purpose", "research", "--store", str(ward.places[0])]
    for patient in (A, B):
        assert CliRunner().invoke(app, ["restrict", patient, *words]).exit_code == 0
    ward.forget(A)
    (owner,) = ward.store.read("restrictions")["owner_id"].to_pylist()
    (left,) = ward.store.read("volumes")["patient_id"].to_pylist()
    assert owner == left
    assert agrees(ward.store)
    assert hits(ward.places, WORDS) == []
    assert ward.wrong() == []
    result = CliRunner().invoke(app, ["restrict", A, *words])
    assert result.exit_code == 2
    assert "is forgotten, which keeps it out for every purpose" in result.stderr
