from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zarr

from fvlm_data.errors import InputError, StoreError
from fvlm_data.shards import ShardDataset
from fvlm_data.shards.folder import group_path, index_path

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


@pytest.fixture
def mine(world: Any) -> ShardDataset:
    for number in range(3):
        world.add(number)
    world.run()
    return ShardDataset(world.store.url, "train")


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


def test_a_shard_without_arrays_is_not_yet_there(mine: ShardDataset):
    folder = group_folder(mine, 0)
    folder.rename(folder.with_name(f".{folder.name}.tmp"))
    assert len(ShardDataset(mine.store, "train")) == 0


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


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 bucket served on loopback."""
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    boto3.client("s3").create_bucket(Bucket="shards")
    yield "s3://shards/store"
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.slow
def test_object_storage_gives_the_same_samples(
    bucket: str, world: Any, world_at: Any, mine: ShardDataset, tmp_path: Path
):
    there = world_at(Store.create(bucket), world.context.vault)
    for number in range(3):
        there.add(number)
    there.run()
    far = ShardDataset(bucket, "train")
    assert far.rows.equals(mine.rows)
    for index in range(len(mine)):
        assert same(far[index], mine[index])
    box = (1, 2, 3, 4, 9, 9)
    assert same(far.read(1, box), mine.read(1, box))
    cached = ShardDataset(bucket, "train", ObjectCache(tmp_path / "cache", 10**8))
    assert same(cached.read(1, box), mine.read(1, box))
    assert same(pickle.loads(pickle.dumps(cached))[2], mine[2])
    assert any((tmp_path / "cache").iterdir())
    there.texts(1, "a cyst")
    there.run()
    assert len(ShardDataset(bucket, "train")) == 3
    lost = data_file(mine, 0, "image").relative_to(mine.store)
    there.store.remove(str(lost))
    with pytest.raises(StoreError, match=row(mine, 0)["sample_id"]):
        far[0]


def test_reading_needs_no_table_and_no_vault(mine: ShardDataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FVLM_VAULT")
    store = Path(mine.store)
    (store / "tables").rename(store.with_name("gone"))
    assert len(ShardDataset(store, "train")) == 3
    assert os.environ.get("FVLM_VAULT") is None
