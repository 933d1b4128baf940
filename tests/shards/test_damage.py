from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

import pytest
import zarr

from fvlm_data.errors import InputError, StoreError
from fvlm_data.shards import ShardDataset
from fvlm_data.shards.folder import group_path, index_path
from fvlm_data.store.commits import unsettle

if TYPE_CHECKING:
    from fvlm_data.shards import ShardConfig


def row(dataset: ShardDataset, index: int) -> dict[str, Any]:
    return dataset.rows.to_pylist()[index]


def group_folder(dataset: ShardDataset, index: int) -> Path:
    return Path(dataset.store, group_path(dataset.split, row(dataset, index)["shard"]))


def data_file(dataset: ShardDataset, index: int, array: str) -> Path:
    depth = zarr.open_group(str(group_folder(dataset, index)), mode="r")[array].shards[0]
    return (
        group_folder(dataset, index)
        / array
        / "c"
        / str(row(dataset, index)["offset_z"] // depth)
        / "0"
        / "0"
    )


@pytest.mark.parametrize(
    ("array", "damage", "opened"),
    [
        ("image", "flip", False),
        ("label", "flip", True),
        ("image", "truncate", False),
        ("label", "remove", False),
        ("image", "remove", True),
    ],
)
@pytest.mark.parametrize("compressor", ["lz4hc", "none"])
def test_damage_names_the_sample(
    world: Any, small: ShardConfig, compressor: str, array: str, damage: str, opened: bool
):
    world.add(0)
    world.run(small.model_copy(update={"compressor": compressor}))
    mine = ShardDataset(world.store.url, "train")
    if opened:
        assert mine[0].image_zyx.size
    path = data_file(mine, 0, array)
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        content[20] ^= 0x55
        path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.raises(StoreError, match=row(mine, 0)["sample_id"]):
        mine[0]


def test_a_shard_of_another_format_is_refused(mine: ShardDataset):
    zarr.open_group(str(group_folder(mine, 0)), mode="r+").attrs["format_version"] = 99
    with pytest.raises(StoreError, match="99"):
        mine[0]


def test_a_shard_without_arrays_is_lost_and_made_anew(world: Any, mine: ShardDataset):
    rmtree(group_folder(mine, 0))
    with pytest.raises(StoreError, match=r"are missing, 3 samples .* `fvlm-data shard`"):
        ShardDataset(mine.store, "train")
    assert world.run() == 3
    assert len(ShardDataset(mine.store, "train")) == 3


def test_an_object_changed_under_its_size_is_made_anew_once_its_samples_are(
    world: Any, mine: ShardDataset
):
    path = data_file(mine, 0, "image")
    before = path.read_bytes()
    path.write_bytes(before[:20] + bytes([before[20] ^ 0x55]) + before[21:])
    unsettle(world.context, "shard", mine.rows["sample_id"].to_pylist())
    assert world.run() == 3
    assert path.read_bytes() == before


def test_lost_arrays_of_which_nothing_is_needed_any_more_are_no_loss(
    world: Any, mine: ShardDataset
):
    old = group_folder(mine, 0)
    for number in range(3):
        world.texts(number, "a cyst")
    world.run(tidy=False)
    rmtree(old)
    assert len(ShardDataset(mine.store, "train")) == 3


def test_damaged_index_is_named(mine: ShardDataset):
    shard = row(mine, 0)["shard"]
    Path(mine.store, index_path("train", shard)).write_bytes(b"PAR1 junk")
    with pytest.raises(StoreError, match=f"index of shard train/{shard}"):
        ShardDataset(mine.store, "train")


def test_wrong_place_or_split(tmp_path: Path, mine: ShardDataset):
    with pytest.raises(InputError, match="nothing found there"):
        ShardDataset(tmp_path / "nowhere", "train")
    with pytest.raises(InputError, match="expected one of train, validation, test"):
        ShardDataset(mine.store, "training")
