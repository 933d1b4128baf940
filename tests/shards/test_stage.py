from __future__ import annotations

import datetime as dt
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fvlm_data.errors import StoreError
from fvlm_data.inspect.verify import verify
from fvlm_data.run.compaction import compact_store
from fvlm_data.run.config import load_config
from fvlm_data.shards import ShardConfig, ShardDataset, folder, joining, reader
from fvlm_data.shards.check import misplaced
from fvlm_data.shards.joining import Joined, join_shards
from fvlm_data.shards.stage import shard_stage
from fvlm_data.shards.tidy import tidy_shards, unused_groups
from fvlm_data.store import unused
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Batch, Item, Stage
from fvlm_data.store.gathering import gather
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary

EN = Vocabulary.load()


def read_all(world: Any, split: str = "train") -> dict[str, Any]:
    dataset = ShardDataset(world.store.url, split)
    assert [dataset[i].sample_id for i in range(len(dataset))] == sorted(
        dataset.rows["sample_id"].to_pylist()
    )
    return {dataset[i].sample_id: dataset[i] for i in range(len(dataset))}


def opened(world: Any, stage: Stage, items: Sequence[Item]) -> Batch:
    """A batch as `settle` hands it to the stage, without a commit."""
    inputs, _ = gather(world.context, stage, items)
    store, vault = world.store, world.context.vault
    return Batch(
        inputs=inputs,
        secret=vault.key,
        file=store.read_bytes,
        paths=vault.file_paths,
        identities=vault.patient_identities,
        originals=vault.reports,
        standing=store.read_items,
        settled=set,
        stored=lambda path: store.read_bytes(path) if store.exists(path) else None,
    )


def test_samples_hold_what_the_mask_shows_and_the_texts_say(world: Any):
    sample_id = world.add(1)
    world.run()
    sample = read_all(world)[sample_id]
    assert sample.anatomies == ("liver", "spleen")  # kidney has a text but no voxel
    assert sample.states == ("abnormal", "normal_stated")
    assert sample.texts == ("liver: normal.", "spleen: normal.")
    assert sample.signatures == (-7, 0)
    assert sample.findings == (frozenset({"cyst|present|left"}), frozenset())
    assert sample.labels == (frozenset({"cyst", "lesion"}), frozenset())
    assert sample.label_values == {"liver": 1, "spleen": 2, "kidney": 3}
    for anatomy, (z0, y0, x0, z1, y1, x1) in zip(sample.anatomies, sample.boxes, strict=True):
        inside = np.zeros(sample.label_zyx.shape, bool)
        inside[z0:z1, y0:y1, x0:x1] = True
        shown = sample.label_zyx == sample.label_values[anatomy]
        assert shown.any()
        assert not (shown & ~inside).any()
    row = world.samples()[sample_id]
    assert (row["age_years"], row["sex"], row["kernel"]) == (61.0, "F", "B30f")


def test_second_run_does_nothing_and_one_new_study_only_itself(world: Any):
    for number in range(4):
        world.add(number)
    assert world.run() == 4
    before = world.samples()
    assert world.run() == 0
    world.add(9)
    assert world.run() == 1
    after = world.samples()
    assert {key: after[key] for key in before} == before
    assert len(read_all(world)) == 5


def test_order_of_arrival_and_batches_changes_no_sample(world: Any, tmp_path: Path):
    other = type(world)(type(world.store).create(tmp_path / "other"), world.context.vault)
    for number in range(5):
        world.add(number)
    for number in (4, 2):
        other.add(number)
    other.run()
    for number in (3, 0, 1):
        other.add(number)
    world.run()
    other.run()
    assert world.samples() == other.samples()
    one, two = read_all(world), read_all(other)
    assert one.keys() == two.keys()
    for sample_id, sample in one.items():
        assert np.array_equal(sample.image_zyx, two[sample_id].image_zyx)
        assert np.array_equal(sample.label_zyx, two[sample_id].label_zyx)


def test_groups_are_cut_the_same_way_after_a_kill(world: Any, small: ShardConfig):
    for number in range(8):
        world.add(number, "train" if number < 7 else "test")
    stage = shard_stage(small, EN)
    whole = pending(world.context, stage).batches
    assert sorted(len(batch) for batch in whole) == [1, 1, 3, 3]
    settle(world.context, stage, whole[1])
    assert pending(world.context, stage).batches == whole[:1] + whole[2:]


def test_each_split_has_its_own_shards(world: Any):
    train, test = world.add(1), world.add(2, "test")
    world.run()
    assert read_all(world).keys() == {train}
    assert read_all(world, "test").keys() == {test}
    assert read_all(world, "validation") == {}


def test_changed_text_moves_the_sample_and_removes_empty_shards(world: Any):
    ids = [world.add(number) for number in range(3)]
    world.run()
    (old,) = set(world.store.read("samples", ["shard"])["shard"].to_pylist())
    world.texts(1, "a cyst")
    assert world.run() == 1
    samples = read_all(world)
    assert samples.keys() == set(ids)
    assert samples[ids[1]].texts[0] == "liver: a cyst."
    assert samples[ids[0]].texts[0] == "liver: normal."
    world.texts(0, "a cyst")
    world.texts(2, "a cyst")
    world.run()
    assert read_all(world).keys() == set(ids)
    assert not [path for path in world.store.files("shards") if old in path]


def test_a_sample_shows_once_when_killed_before_the_shards_are_tidied(world: Any):
    ids = [world.add(number) for number in range(3)]
    world.run()
    world.texts(1, "a cyst")
    world.run(tidy=False)
    samples = read_all(world)
    assert samples.keys() == set(ids)
    assert samples[ids[1]].texts[0] == "liver: a cyst."


def test_a_patient_moved_to_another_split_never_shows_in_both(world: Any):
    sample_id = world.add(1)
    world.run()
    world.add(1, "test")
    world.run(tidy=False)
    assert read_all(world) == {}
    assert read_all(world, "test").keys() == {sample_id}


def test_kill_after_the_files_and_before_the_rows(world: Any, small: ShardConfig):
    ids = [world.add(number) for number in range(3)]
    world.run()
    world.texts(1, "a cyst")
    stage = shard_stage(small, EN)
    (batch,) = pending(world.context, stage).batches
    for outcome in stage.make(opened(world, stage, batch)):
        for path, tree in outcome.trees.items():
            world.store.put_tree(tree, path)
        for path, content in outcome.derived_files.items():
            world.store.write_bytes(path, content)
    assert read_all(world).keys() == set(ids)
    tidy_shards(world.context, keep_hours=0)  # another run: the table knows the old shard only
    assert read_all(world)[ids[1]].texts[0] == "liver: normal."
    world.run()
    assert read_all(world)[ids[1]].texts[0] == "liver: a cyst."
    assert len(read_all(world)) == 3


def test_tidying_repairs_an_index_that_a_late_commit_needs(world: Any):
    sample_id = world.add(1)
    world.run()
    (index,) = [path for path in world.store.files("shards") if path.endswith(".parquet")]
    content = world.store.read_bytes(index)
    world.store.remove(index)
    assert read_all(world) == {}
    assert tidy_shards(world.context).indexes_rewritten == 1
    assert world.store.read_bytes(index) == content
    assert read_all(world).keys() == {sample_id}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 cut off somewhere PAR1"])
def test_tidying_writes_a_damaged_index_anew(world: Any, content: bytes):
    sample_id = world.add(1)
    world.run()
    (index,) = [path for path in world.store.files("shards") if path.endswith(".parquet")]
    world.store.write_bytes(index, content)
    assert tidy_shards(world.context).indexes_rewritten == 1
    assert read_all(world).keys() == {sample_id}


def test_lost_arrays_are_made_anew(world: Any):
    ids = {world.add(number) for number in range(4)}  # two shards
    world.run()
    before = read_all(world)
    lost = world.store.read("samples").to_pylist()[0]["shard"]
    world.store.remove(folder.group_path("train", lost))
    held = sum(row["shard"] == lost for row in world.store.read("samples").to_pylist())
    assert world.run() == held
    again = read_all(world)
    assert again.keys() == ids
    for sample_id, sample in again.items():
        assert np.array_equal(sample.image_zyx, before[sample_id].image_zyx)
    assert world.run() == 0


@pytest.mark.parametrize("lost", ["", "zarr.json", "image/zarr.json", "label/c/1/0/0"])
def test_verify_finds_lost_arrays(world: Any, lost: str):
    world.add(1)
    world.run()
    (check,) = [one for one in verify(world.store) if one.name == "every named file is there"]
    assert check.passed, check.examples
    (row,) = world.store.read("samples").to_pylist()
    world.store.remove(f"{folder.group_path('train', row['shard'])}/{lost}".rstrip("/"))
    (check,) = [one for one in verify(world.store) if one.name == "every named file is there"]
    assert not check.passed
    assert any(row["shard"] in example for example in check.examples)
    assert "`fvlm-data curate` makes them anew" in check.remedy


def test_arrays_of_superseded_shards_stay_for_readers_at_work(world: Any):
    world.add(1)
    world.run()
    dataset = ShardDataset(world.store.url, "train")
    world.texts(1, "a cyst")
    world.run(tidy=False)
    assert tidy_shards(world.context, keep_hours=1).groups_removed == 0
    assert dataset[0].texts[0] == "liver: normal."
    assert tidy_shards(world.context, keep_hours=0).groups_removed == 1
    with pytest.raises(Exception, match=dataset.rows["sample_id"][0].as_py()):
        dataset[0]


def test_old_arrays_stay_for_readers_from_when_they_are_superseded(
    world: Any, monkeypatch: pytest.MonkeyPatch
):
    """Not from when they were written: a trainer that began last night reads what is years old."""
    world.add(1)
    world.run()
    for file in Path(world.store.url, "shards").rglob("*"):
        os.utime(file, (1, 1))
    dataset = ShardDataset(world.store.url, "train")
    world.texts(1, "a cyst")
    world.run(tidy=False)
    assert tidy_shards(world.context, keep_hours=24).groups_removed == 0
    began = unused.now()
    monkeypatch.setattr(unused, "now", lambda: began + dt.timedelta(hours=23))
    assert tidy_shards(world.context, keep_hours=24).groups_removed == 0
    assert dataset[0].texts[0] == "liver: normal."
    assert unused_groups(world.context, 24) == []
    monkeypatch.setattr(unused, "now", lambda: began + dt.timedelta(hours=25))
    assert len(unused_groups(world.context, 24)) == 1
    assert tidy_shards(world.context, keep_hours=24).groups_removed == 1
    assert not world.store.exists("shards/unused.json")
    assert len(read_all(world)) == 1


def test_a_reader_knows_the_version_of_the_table_that_it_read(
    world: Any, monkeypatch: pytest.MonkeyPatch
):
    world.add(1)
    world.run()
    dataset = ShardDataset(world.store.url, "train")
    assert dataset.samples_version == world.store.version("samples")
    assert pickle.loads(pickle.dumps(dataset)).samples_version == dataset.samples_version
    read, looks = reader._read_rows, []

    def beside(*arguments: Any) -> Any:
        rows = read(*arguments)
        looks.append(rows)
        if len(looks) == 1:  # a run changes a sample while the indexes are read
            world.texts(1, "a cyst")
            world.run()
        return rows

    monkeypatch.setattr(reader, "_read_rows", beside)
    again = ShardDataset(world.store.url, "train")
    assert len(looks) == 2
    assert again[0].texts[0] == "liver: a cyst."
    assert again.samples_version == world.store.version("samples") > dataset.samples_version


def test_a_folder_of_shards_alone_has_no_version(world: Any, tmp_path: Path):
    world.add(1)
    world.run()
    shutil.copytree(Path(world.store.url, "shards"), tmp_path / "copy" / "shards")
    dataset = ShardDataset(tmp_path / "copy", "train")
    assert len(dataset) == 1
    assert dataset.samples_version is None


def test_tidying_names_shards_that_are_gone(world: Any):
    world.add(1)
    world.run()
    (shard,) = world.store.read("samples", ["shard"])["shard"].to_pylist()
    world.store.remove(f"shards/train/{shard}.zarr")
    assert tidy_shards(world.context).missing == (shard,)


def test_setting_change_redoes_all(world: Any, small: ShardConfig):
    world.add(1)
    world.run()
    assert world.run(small.model_copy(update={"margin_pixels": 3})) == 1
    assert len(read_all(world)) == 1


@pytest.mark.parametrize("change", ["class_value", "class_system"])
def test_meaning_of_the_mask_is_part_of_the_key(world: Any, change: str):
    world.add(1)
    assert world.run() == 1
    before = world.samples()
    if change == "class_value":
        world.add(1, classes={2: "liver", 1: "spleen"})
    else:
        world.add(1, classes={1: "liver", 2: "spleen", 3: "aorta", 4: "colon"})
    assert world.run() == 1
    assert (world.samples() != before) == (change == "class_value")


def test_volume_without_anatomy_is_set_aside(world: Any):
    world.add(1, classes={3: "aorta"})
    world.add(2)
    world.run()
    assert len(read_all(world)) == 1
    (row,) = world.store.read("quarantine").to_pylist()
    assert (row["kind"], row["reason"], row["stage"]) == ("out_of_scope", "no_anatomy", "shard")
    assert world.run() == 0


def test_sample_that_loses_its_anatomies_leaves_the_shards(world: Any):
    world.add(1)
    kept = world.add(2)
    world.run()
    world.add(1, classes={3: "aorta"})
    world.run(tidy=False)
    assert read_all(world).keys() == {kept}
    tidy_shards(world.context)
    assert read_all(world).keys() == {kept}


def test_state_left_out_by_setting(world: Any, small: ShardConfig):
    world.add(1)
    world.run(small.model_copy(update={"keep_states": ("normal_stated",)}))
    (sample,) = read_all(world).values()
    assert sample.anatomies == ("spleen",)


def test_volume_without_texts_is_not_planned_and_a_gone_one_leaves(world: Any):
    world.add(1)
    kept = world.add(2)
    world.run()
    world.store.replace("anatomy_texts", ["st_01"], [])
    world.run()
    assert read_all(world).keys() == {kept}


@pytest.mark.parametrize("path", ["volumes/01/v_01.nii.gz", "masks/01/v_01.total.nii.gz"])
@pytest.mark.parametrize("damage", ["removed", "cut", "changed"])
def test_a_damaged_file_holds_its_sample_and_stops_no_other(world: Any, path: str, damage: str):
    """Also where its size is as before: no sample is made of what its stage did not write."""
    held = world.add(1)
    world.run()
    world.texts(1, "a cyst")
    kept = world.add(2)
    content = bytearray(world.store.read_bytes(path))
    if damage == "removed":
        world.store.remove(path)
    else:
        content[-9] ^= 1
        world.store.write_bytes(path, bytes(content if damage == "changed" else content[:-20]))
    world.run()
    assert read_all(world).keys() == {held, kept}
    assert read_all(world)[held].texts[0] == "liver: normal."
    assert world.store.count("quarantine") == 0
    world.add(1)
    world.texts(1, "a cyst")
    assert world.run() == 1
    assert read_all(world)[held].texts[0] == "liver: a cyst."


def test_a_file_that_was_stored_damaged_does_not_stop_the_others(world: Any):
    world.add(1)
    kept = world.add(2)
    world.put("volumes/01/v_01.nii.gz", "ingest", "se_v_01", b"\x1f\x8bjunk")
    world.run()
    assert read_all(world).keys() == {kept}
    (row,) = world.store.read("quarantine").to_pylist()
    assert (row["kind"], row["reason"]) == ("fault", "volume_unreadable")
    world.add(1)
    assert world.run() == 1
    assert len(read_all(world)) == 2
    assert world.store.count("quarantine") == 0


def test_changed_text_of_an_anatomy_that_is_not_sharded_remakes_nothing(world: Any):
    world.add(1)
    world.texts(1, "normal", lung="clear")
    assert world.run() == 1
    world.texts(1, "normal", lung="a nodule")
    assert world.run() == 0
    world.texts(1, "a cyst", lung="a nodule")
    assert world.run() == 1


@pytest.mark.parametrize("change", ["index", "offset_z", "shard", "swapped"])
def test_rows_in_wrong_places_are_made_anew(world: Any, change: str):
    ids = [world.add(number) for number in range(4)]  # two shards
    world.run()
    before = read_all(world)
    rows = world.store.read("samples").to_pylist()
    rows.sort(key=lambda row: (row["shard"], row["index"]))
    first, second, *_, last = rows
    if first["shard"] != second["shard"]:
        first, second, last = rows[-2], rows[-1], rows[0]
    if change == "swapped":
        for name in ("index", "offset_z"):
            first[name], second[name] = second[name], first[name]
    else:
        first[change] = {"index": 7, "offset_z": first["offset_z"] + 2, "shard": last["shard"]}[
            change
        ]
    for row in (first, second):
        world.store.replace("samples", [row["sample_id"]], [joining._sample(row)])
    wrong = {first["sample_id"]} | ({second["sample_id"]} if change == "swapped" else set())
    assert set(misplaced(world.context)) == wrong
    assert world.run() == len(wrong)
    assert misplaced(world.context) == []
    after = read_all(world)
    assert after.keys() == set(ids)
    for sample_id, sample in after.items():
        assert np.array_equal(sample.image_zyx, before[sample_id].image_zyx)
    assert world.run() == 0


def test_tidying_reads_no_index_that_agreed_and_one_that_changed(
    world: Any, monkeypatch: pytest.MonkeyPatch
):
    for number in range(4):
        world.add(number)
    world.run()
    read: list[str] = []
    real = folder.ShardFolder.read_index

    def counted(self: Any, split: str, shard: str, columns: Any = None) -> Any:
        read.append(shard)
        return real(self, split, shard, columns)

    monkeypatch.setattr(folder.ShardFolder, "read_index", counted)
    world.run()
    assert read == []
    (row, *_) = world.store.read("samples").to_pylist()
    path = folder.index_path("train", row["shard"])
    changed = pq.read_table(pa.BufferReader(world.store.read_bytes(path)))
    place = changed.schema.get_field_index("sex")
    changed = changed.set_column(place, "sex", pa.array(["M"] * changed.num_rows))
    before = world.store.read_bytes(path)
    world.store.write_bytes(path, folder.index_bytes(changed))
    assert tidy_shards(world.context).indexes_rewritten == 1
    assert read == [row["shard"]]
    assert world.store.read_bytes(path) == before


@pytest.mark.full
def test_files_of_shards_are_recorded_as_long_as_they_are_there(world: Any, small: ShardConfig):
    def recorded() -> set[str]:
        rows = world.store.read("files", ["path"], [("stage", "=", "shard")])
        return set(rows["path"].to_pylist())

    def objects() -> set[str]:
        return {path for path in world.store.files("shards") if not path.endswith(".parquet")}

    for number in range(4):
        world.add(number)
        world.run()
    assert recorded() == objects()
    world.texts(1, "a cyst")
    world.run()
    assert recorded() == objects()
    join_shards(world.context, small)
    tidy_shards(world.context, keep_hours=0)
    assert recorded() == objects()
    row = world.store.read("samples").to_pylist()[0]
    lost = Path(world.store.url, folder.group_path("train", row["shard"]), "image/c/0/0/0")
    lost.write_bytes(lost.read_bytes()[:-1])
    assert world.run() > 0
    assert recorded() == objects()
    assert len(read_all(world)) == 4
    assert world.run() == 0


def test_temporary_folders_are_removed_even_when_a_batch_is_given_up(
    world: Any, small: ShardConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    for number in range(2):
        world.add(number)
    stage = shard_stage(small, EN)
    (batch,) = pending(world.context, stage).batches
    outcomes = stage.make(opened(world, stage, batch))
    next(outcomes)
    assert list(folder.iterdir())
    outcomes.close()
    assert not list(folder.iterdir())
    world.run()
    assert not list(folder.iterdir())


def test_two_runs_at_once_that_cut_differently_give_each_sample_once(
    world: Any, small: ShardConfig
):
    for number in range(4):
        world.add(number)
    stage = shard_stage(small, EN)
    first = pending(world.context, stage).batches
    world.add(7)
    second = pending(world.context, stage).batches
    for one, two in zip(first, second, strict=True):
        settle(world.context, stage, one)
        settle(world.context, stage, two)
        assert len(read_all(world)) == len(world.samples())
    tidy_shards(world.context, keep_hours=0)
    assert read_all(world).keys() == world.samples().keys()
    assert len(world.samples()) == 5
    listed = ShardDataset(world.store.url, "train").rows
    assert set(zip(*(listed[c].to_pylist() for c in ("sample_id", "shard")), strict=True)) == set(
        zip(
            *(world.store.read("samples")[c].to_pylist() for c in ("sample_id", "shard")),
            strict=True,
        )
    )


def test_mixed_batches_make_a_shard_for_each_split(world: Any, small: ShardConfig):
    world.add(1)
    world.add(2, "test")
    stage = shard_stage(small, EN)
    items = [item for batch in pending(world.context, stage).batches for item in batch]
    settle(world.context, stage, items)
    assert len(read_all(world)) == len(read_all(world, "test")) == 1


def test_item_whose_inputs_are_gone_is_tried_again(world: Any, small: ShardConfig):
    world.add(1)
    stage = shard_stage(small, EN)
    settle(world.context, stage, [Item("sa_gone", "key", ("v_9", "st_9", "p_9", "train"))])
    (row,) = world.store.read("quarantine").to_pylist()
    assert row["reason"] == "inputs_gone"
    assert world.store.count("ledger") == 0
    retire(world.context, stage, ["sa_gone"])


def test_importing_the_parts_pulls_in_nothing_heavy():
    code = (
        "import sys, fvlm_data.shards, fvlm_data.shards.stage, fvlm_data.shards.tidy\n"
        "heavy = {'torch', 'zarr', 'scipy', 'nibabel', 'prefect', 'medspacy', 'pandas'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr


def test_joining_nightly_shards_keeps_every_sample(world: Any, small: ShardConfig):
    for number in range(5):
        world.add(number)
        world.run()
    world.texts(1, "a cyst")  # made anew: its first shard is left without a sample
    world.run()
    before, samples = world.samples(), list(ShardDataset(world.store.url, "train"))
    joined = join_shards(world.context, small)
    assert joined.given_up == 5
    assert joined.written == 2  # three samples a shard
    halfway = ShardDataset(world.store.url, "train")
    tidy_shards(world.context, keep_hours=0)
    tidied = ShardDataset(world.store.url, "train")
    assert world.samples() == before
    for dataset in (halfway, tidied):
        assert len(dataset) == 5
        for index, sample in enumerate(samples):
            assert dataset[index].sample_id == sample.sample_id
            assert np.array_equal(dataset[index].image_zyx, sample.image_zyx)
            assert np.array_equal(dataset[index].label_zyx, sample.label_zyx)
    assert len(set(tidied.rows["shard"].to_pylist())) == 2
    assert len(Store.open(world.store.url).files("shards")) == 2 * (2 * 2 + 3 + 1)
    assert join_shards(world.context, small) == Joined(0, 0)
    assert world.run() == 0


def test_joining_names_a_damaged_sample_and_leaves_other_settings(world: Any, small: ShardConfig):
    for number in range(2):
        world.add(number)
        world.run()
    assert join_shards(
        world.context, small.model_copy(update={"hu_window": (-300, 400)})
    ) == Joined(0, 0)
    row = world.store.read("samples").to_pylist()[0]
    path = Path(world.store.url, folder.group_path("train", row["shard"]), "image/c/0/0/0")
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=row["sample_id"]):
        join_shards(world.context, small)
    assert len(world.samples()) == 2


@pytest.mark.parametrize("moment", ["while the arrays are written", "before the rows"])
def test_joining_leaves_what_a_run_changes_meanwhile(
    world: Any, small: ShardConfig, monkeypatch: pytest.MonkeyPatch, moment: str
):
    for number in range(3):
        world.add(number)
        world.run()
    module, name = {
        "while the arrays are written": (joining, "write_shard"),
        "before the rows": (folder, "index_bytes"),
    }[moment]
    real, calls = getattr(module, name), count()

    def beside(*arguments: Any) -> Any:
        if next(calls) == 0:
            world.texts(1, "a cyst")
            world.run()
        return real(*arguments)

    monkeypatch.setattr(module, name, beside)
    assert join_shards(world.context, small) == Joined(given_up=0, written=0, left=3)
    tidy_shards(world.context, keep_hours=0)
    shown = read_all(world)
    assert shown.keys() == world.samples().keys()
    assert sorted(sample.texts[0] for sample in shown.values()) == [
        "liver: a cyst.",
        "liver: normal.",
        "liver: normal.",
    ]
    assert join_shards(world.context, small).given_up == 3
    assert world.run() == 0


def test_joining_beside_a_run_that_removes_the_old_arrays(
    world: Any, small: ShardConfig, monkeypatch: pytest.MonkeyPatch
):
    for number in range(3):
        world.add(number)
        world.run()
    real = joining.spool

    def beside() -> Any:
        world.texts(1, "a cyst")
        world.run()
        return real()

    monkeypatch.setattr(joining, "spool", beside)
    assert join_shards(world.context, small) == Joined(given_up=0, written=0, left=3)
    assert len(read_all(world)) == 3


def test_compaction_that_keeps_nothing_spares_arrays_about_to_be_committed(
    world: Any, monkeypatch: pytest.MonkeyPatch
):
    world.add(1)
    put, config = Store.put_tree, load_config(None, (), {"store": world.store.url})

    def beside(store: Store, *arguments: Any) -> None:
        put(store, *arguments)
        assert compact_store(world.context, config, keep_hours=0).groups_removed == 0

    monkeypatch.setattr(Store, "put_tree", beside)
    world.run()
    assert read_all(world).keys() == world.samples().keys()


@pytest.mark.full
def test_runs_and_compactions_at_once_lose_no_sample(world: Any, small: ShardConfig):
    """Another process compacts, keeping nothing, for as long as samples are made anew here."""
    numbers = range(3)
    for number in numbers:
        world.add(number)
        world.run()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from fvlm_data.run.compaction import compact_store\n"
        "from fvlm_data.run.config import load_config\n"
        "from fvlm_data.shards import ShardConfig\n"
        "from fvlm_data.store.declared import Context\n"
        "from fvlm_data.store.tables import Store\n"
        "from fvlm_data.identity.vault import Vault\n"
        "url, vault, shard, stop = sys.argv[1:]\n"
        "config = load_config(None, (), {'store': url}).model_copy(\n"
        "    update={'shard': ShardConfig.model_validate_json(shard)})\n"
        "context = Context(Store.open(url), Vault.open(Path(vault)), 'compact')\n"
        "print('ready', flush=True)\n"
        "while not Path(stop).exists():\n"
        "    compact_store(context, config, 0)\n"
    )
    vault, stop = world.context.vault.folder, world.context.vault.folder / "stop"
    with subprocess.Popen(
        [sys.executable, "-c", code, world.store.url, vault, small.model_dump_json(), stop],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            for time in range(4):
                for number in numbers:
                    world.texts(number, f"seen {time}")
                    world.run(tidy=False)
                tidy_shards(world.context)
        finally:
            stop.touch()
            _, told = other.communicate(timeout=120)
        assert other.returncode == 0, told
    compact_store(world.context, load_config(None, (), {"store": world.store.url}), 0)
    shown = read_all(world)
    assert shown.keys() == world.samples().keys()
    assert [sample.texts[0] for sample in shown.values()] == ["liver: seen 3."] * 3
    assert world.run() == 0
