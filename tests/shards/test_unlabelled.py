"""Samples without reports or masks: made, kept, mended and taken out as those with them are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import StoreError
from fvlm_data.inspect.verify import verify
from fvlm_data.run.compaction import compact_store
from fvlm_data.run.config import load_config
from fvlm_data.run.records import begin, open_context
from fvlm_data.shards import ShardConfig, ShardDataset
from fvlm_data.shards.check import unsettle_misplaced
from fvlm_data.shards.joining import Joined, join_shards
from fvlm_data.shards.leaving import shards_of, take_out
from fvlm_data.shards.preprocess import prepare
from fvlm_data.shards.sets import UNLABELLED
from fvlm_data.shards.tidy import tidy_shards
from fvlm_data.shards.unlabelled.config import UnlabelledConfig
from fvlm_data.shards.unlabelled.inputs import volumes_without_split
from fvlm_data.shards.unlabelled.stage import unlabelled_stage
from fvlm_data.store.commits import retire, settle, unsettle
from fvlm_data.store.planning import pending

PLAIN = {"spacing_mm": (1.5, 1.5, 3.0), "margin_slices": 0, "margin_pixels": 0}
LAYOUT = ShardConfig(samples_per_shard=3, slab_z=2, objects_per_array=2)
ALL = UnlabelledConfig(volumes="all", body_above_hu=None, **PLAIN)


def run(world: Any, config: UnlabelledConfig = ALL) -> int:
    """Run the stage to its end; returns the number of samples that were to do."""
    stage = unlabelled_stage(config, LAYOUT)
    unsettle_misplaced(world.context, UNLABELLED)
    work = pending(world.context, stage)
    unsettle(world.context, stage.name, work.mended)
    for batch in work.batches:
        settle(world.context, stage, batch)
    retire(world.context, stage, work.obsolete)
    tidy_shards(world.context, keep_hours=0, of=UNLABELLED)
    return sum(len(batch) for batch in work.batches)


def read(world: Any, split: str = "train") -> dict[str, Any]:
    dataset = ShardDataset(world.store.url, split, of=UNLABELLED)
    return {sample.sample_id: sample for sample in map(dataset.read, range(len(dataset)))}


def rows(world: Any) -> dict[str, dict[str, Any]]:
    placement = {"shard", "index", "offset_z"}
    found = world.store.read(UNLABELLED.table).to_pylist()
    return {row["sample_id"]: {k: v for k, v in row.items() if k not in placement} for row in found}


def test_a_whole_volume_comes_back_as_the_pipeline_resamples_it(world: Any):
    sample_id = world.add(1)
    assert run(world) == 1
    sample = read(world)[sample_id]
    image_ijk = world.images["v_01"]
    (volume,) = world.store.read("volumes").to_pylist()
    affine = np.array(volume["affine_ras"]).reshape(4, 4)
    expected = prepare(image_ijk, np.ones(image_ijk.shape, np.uint8), affine, ALL.packed(LAYOUT))
    assert expected is not None
    assert np.array_equal(sample.image_zyx, expected.image_zyx)
    assert np.array_equal(sample.affine_ras, expected.affine_ras)
    assert sample.image_zyx.dtype == np.int16
    assert sample.spacing_mm == (3.0, 1.5, 1.5)
    assert (sample.anatomies, sample.texts, sample.boxes) == ((), (), ())
    assert sample.label_values == {"body": 1}
    assert rows(world)[sample_id]["modality"] == "CT"


def test_a_volume_that_gets_mask_and_text_leaves(world: Any):
    config = UnlabelledConfig(**PLAIN)
    labelled, without = world.add(1), world.add(2)
    world.store.replace("anatomy_texts", ["st_02"], [])
    assert run(world, config) == 1
    assert rows(world).keys() == {without}
    world.texts(2, "a cyst")
    world.store.replace("masks", ["v_01"], [])
    assert run(world, config) == 1
    assert read(world).keys() == {labelled}
    world.run()
    assert world.samples().keys() == {without}


def test_labelled_samples_are_others_and_stay_as_they_were(world: Any):
    ids = {world.add(number) for number in range(4)}
    world.run()
    before = world.store.read("samples").to_pylist()
    folders = sorted(path for path in world.store.files("shards"))
    assert run(world) == 4
    assert world.store.read("samples").to_pylist() == before
    shards = [path for path in world.store.files("shards") if "/unlabelled/" not in path]
    assert sorted(shards) == folders
    assert len(ShardDataset(world.store.url, "train")) == 4
    assert read(world).keys() == ids
    assert world.run() == 0


def test_order_of_arrival_changes_no_sample(world: Any, tmp_path: Path):
    other = type(world)(type(world.store).create(tmp_path / "other"), world.context.vault)
    for number in range(5):
        world.add(number)
    run(world)
    for numbers in ((4, 2), (3, 0, 1)):
        for number in numbers:
            other.add(number)
        assert run(other) == len(numbers)
    assert rows(world) == rows(other)
    assert run(other) == 0


def test_air_and_what_lies_apart_from_the_body_is_cut_off(world: Any):
    from fvlm_data.hashing import array_sha256
    from fvlm_data.segment.nifti import label_map_bytes

    sample_id = world.add(0)
    (row,) = world.store.read("volumes").to_pylist()
    affine = np.array(row["affine_ras"]).reshape(4, 4)
    image = np.full((60, 50, 30), -1000, np.int16)
    image[20:44, 12:36, 8:22] = 40  # the body
    image[20:44, 48:, 8:22] = 300  # a table behind it
    world.put(row["path"], "ingest", row["series_id"], label_map_bytes(image, affine))
    changed = {**row, "shape": image.shape, "content_sha256": array_sha256(image)}
    import schemas

    volume = schemas.Volume(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in changed.items()}
    )
    world._add("volumes", row["study_id"], [volume])
    config = UnlabelledConfig(volumes="all", **{**PLAIN, "spacing_mm": (1.0, 1.0, 2.0)})
    run(world, config)
    sample = read(world)[sample_id]
    assert sample.image_zyx.shape == (14, 24, 24)
    assert (sample.image_zyx == 40).all()
    assert sample.label_zyx.all()
    config = config.model_copy(update={"body_above_hu": 500})
    run(world, config)
    assert read(world) == {}
    (told,) = world.store.read("quarantine").to_pylist()
    assert (told["stage"], told["reason"]) == ("unlabelled", "no_body")


def test_a_head_without_a_face_mask_is_set_aside(world: Any):
    world.add(1, classes={1: "face", 2: "brain", 3: "liver"})
    world.add(2, classes={1: "liver", 2: "brain", 3: "spleen"})
    run(world)
    kept, (told,) = read(world), world.store.read("quarantine").to_pylist()
    assert {sample.volume_id for sample in kept.values()} == {"v_01"}
    assert told["reason"] == "face_not_segmented"
    (sample,) = kept.values()
    assert (sample.image_zyx == -1024).mean() > 0.1  # the face is air now


@pytest.mark.parametrize("what", ["index", "object", "group", "row"])
def test_damage_is_told_and_mended(world: Any, what: str):
    for number in range(3):
        world.add(number)
    run(world)
    stage = unlabelled_stage(ALL, LAYOUT)
    before = {key: sample.image_zyx for key, sample in read(world).items()}
    root = Path(world.store.url)
    folder = root / UNLABELLED.folder / "train"
    (group,) = folder.glob("*.zarr")
    if what == "index":
        group.with_suffix(".parquet").unlink()
    elif what == "group":
        shutil.rmtree(group)
    elif what == "row":
        world.store.replace(UNLABELLED.table, [min(before)], [])
    else:
        one = max(
            (path for path in group.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
        )
        one.write_bytes(one.read_bytes()[:-3])
    checks = {check.name: check for check in verify(world.store, [stage], deep=True)}
    assert [name for name, check in checks.items() if not check.passed] != []
    assert run(world) > 0 or what == "index"
    after = read(world)
    assert all(np.array_equal(after[key].image_zyx, image) for key, image in before.items())
    found = verify(world.store, [stage], deep=True)
    assert [check.name for check in found if not check.passed and "shard" in check.name] == []
    assert [
        check.examples for check in found if not check.passed and "unlabelled" in check.name
    ] == []


def test_small_shards_are_joined_and_a_sample_can_be_taken_out(world: Any):
    ids = []
    for number in range(3):
        ids.append(world.add(number))
        run(world)
    before = read(world)
    assert join_shards(world.context, ALL.packed(LAYOUT), UNLABELLED) == Joined(3, 1)
    tidy_shards(world.context, keep_hours=0, of=UNLABELLED)
    assert len(list((Path(world.store.url) / UNLABELLED.folder / "train").glob("*.zarr"))) == 1
    held = shards_of(world.context, [ids[0]], UNLABELLED)
    take_out(
        world.context, ALL.packed(LAYOUT), unlabelled_stage(ALL, LAYOUT), [ids[0]], held, UNLABELLED
    )
    after = read(world)
    assert after.keys() == set(ids[1:])
    assert all(np.array_equal(after[i].image_zyx, before[i].image_zyx) for i in after)
    assert world.store.read("files", ["item"], [("stage", "=", "unlabelled")])["item"].unique()


def test_compaction_covers_them(world: Any):
    for number in range(2):
        world.add(number)
        run(world)
    values = {
        "store": world.store.url,
        "unlabelled": ALL.model_dump(mode="json"),
        "shard": LAYOUT.model_dump(mode="json"),
    }
    done = compact_store(world.context, load_config(None, (), values), keep_hours=0)
    assert (done.shards_given_up, done.shards_written) == (2, 1)
    assert len(read(world)) == 2
    assert run(world) == 0


def test_settings_are_checked_as_those_of_shards():
    with pytest.raises(ValueError, match="hu_window"):
        UnlabelledConfig(hu_window=(100, 100))


def test_a_labelled_reader_does_not_find_them(world: Any):
    world.add(1)
    run(world)
    assert len(ShardDataset(world.store.url, "train")) == 0
    shutil.rmtree(next((Path(world.store.url) / UNLABELLED.folder / "train").glob("*.zarr")))
    with pytest.raises(StoreError, match="arrays of shard"):
        read(world)


def test_a_volume_without_split_is_told(world: Any):
    world.add(1)
    world.add(2)
    world.store.replace("splits", ["p_02"], [])
    assert volumes_without_split(world.context) == 1
    assert run(world) == 1


def test_the_command_makes_them_where_asked_for(world: Any, tmp_path: Path):
    world.add(1)
    world.add(2)
    world.store.replace("anatomy_texts", ["st_02"], [])
    given = {"store": world.store.url, "identity": {"vault": str(tmp_path / "vault")}}
    config = load_config(None, (), given)
    begin(world.context, config)
    open_context(config)  # marks the store as one with this vault

    def due(*flags: str) -> dict[str, int]:
        arguments = ["shard", "--store", world.store.url, "--dry-run", "--json", *flags]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return {name: one["due"] for name, one in json.loads(result.stdout)["stages"].items()}

    assert due() == {"shard": 1}
    assert due("--unlabelled") == {"shard": 1, "unlabelled": 1}
    assert due("--unlabelled", "--set", "unlabelled.volumes=all") == {"shard": 1, "unlabelled": 2}
