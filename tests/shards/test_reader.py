from __future__ import annotations

import multiprocessing
import os
import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.errors import StoreError
from fvlm_data.identity.vault import Vault
from fvlm_data.shards import ObjectCache, Sample, ShardDataset, slabs
from fvlm_data.shards.folder import group_path
from fvlm_data.shards.writer import METADATA_OBJECTS
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.shards import ShardConfig


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, world_at: Any) -> ShardDataset:
    """Five samples in two shards."""
    folder = tmp_path_factory.mktemp("shards")
    world = world_at(Store.create(folder / "store"), Vault.open(folder / "vault"))
    for number in range(5):
        world.add(number)
    world.run()
    return ShardDataset(world.store.url, "train")


def row(dataset: ShardDataset, index: int) -> dict[str, Any]:
    return dataset.rows.to_pylist()[index]


def group_folder(dataset: ShardDataset, index: int) -> Path:
    return Path(dataset.store, group_path(dataset.split, row(dataset, index)["shard"]))


@dataclass(frozen=True)
class _Content:
    content: tuple[str, bytes, bytes]


def _content(sample: Sample) -> _Content:
    return _Content((sample.sample_id, sample.image_zyx.tobytes(), sample.label_zyx.tobytes()))


def same(one: Sample, other: Sample) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name))
        if isinstance(getattr(one, f.name), np.ndarray)
        else getattr(one, f.name) == getattr(other, f.name)
        for f in fields(Sample)
    )


def assert_equal_to_plain_zarr(dataset: ShardDataset) -> None:
    for index in range(len(dataset)):
        facts, sample = row(dataset, index), dataset[index]
        group = zarr.open_group(str(group_folder(dataset, index)), mode="r")
        nz, ny, nx = facts["shape_zyx"]
        part = np.s_[facts["offset_z"] : facts["offset_z"] + nz, :ny, :nx]
        assert np.array_equal(sample.image_zyx, group["image"][part])
        assert np.array_equal(sample.label_zyx, group["label"][part])
        assert group.attrs["anatomies"] == sample.label_values


def assert_equal_in_tensorstore(dataset: ShardDataset) -> None:
    for name in ("image", "label"):
        path = str(group_folder(dataset, 0) / name)
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}
        found = tensorstore.open(spec, read=True).result().read().result()
        plain = zarr.open_array(path, mode="r")[:]
        assert found.dtype == plain.dtype
        assert np.array_equal(found, plain)


def test_reader_equals_plain_zarr(shards: ShardDataset):
    assert len(shards) == 5
    assert len(set(shards.rows["shard"].to_pylist())) == 2
    assert_equal_to_plain_zarr(shards)
    assert shards[-1].sample_id == shards[4].sample_id


def test_a_sample_is_named_in_a_line_without_voxels_and_texts(shards: ShardDataset):
    sample = shards[0]
    told = repr(sample)
    assert sample.sample_id in told
    assert " x ".join(map(str, sample.image_zyx.shape)) in told
    assert len(told) < 200
    assert not any(text in told for text in sample.texts)


def test_tensorstore_reads_the_same(shards: ShardDataset):
    assert_equal_in_tensorstore(shards)


@pytest.mark.parametrize("dtype", ["int16", "uint8"])
@pytest.mark.parametrize("compressor", ["none", "lz4", "zstd"])
def test_every_compressor_gives_the_same_voxels(
    world: Any, small: ShardConfig, compressor: str, dtype: str
):
    world.add(1)
    config = small.model_copy(update={"dtype": dtype})
    world.run(config)
    (expected,) = ShardDataset(world.store.url, "train")
    world.run(config.model_copy(update={"compressor": compressor}))
    dataset = ShardDataset(world.store.url, "train")
    assert np.array_equal(dataset[0].image_zyx, expected.image_zyx)
    assert_equal_to_plain_zarr(dataset)
    assert_equal_in_tensorstore(dataset)


def test_padding_is_the_windows_low_end(shards: ShardDataset, small: ShardConfig):
    shapes = {tuple(shape) for shape in shards.rows["shape_zyx"].to_pylist()}
    assert len(shapes) > 1
    index = min(range(5), key=lambda i: row(shards, i)["shape_zyx"][2])
    facts = row(shards, index)
    group = zarr.open_group(str(group_folder(shards, index)), mode="r")
    nz, _, nx = facts["shape_zyx"]
    beside = group["image"][facts["offset_z"] : facts["offset_z"] + nz, :, nx:]
    assert (beside == small.hu_window[0]).all()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_crop_equals_the_part_of_the_whole(shards: ShardDataset, data: st.DataObject):
    index = data.draw(st.integers(0, len(shards) - 1))
    whole = shards[index]
    pairs = [
        sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True)))
        for n in whole.image_zyx.shape
    ]
    (z0, z1), (y0, y1), (x0, x1) = pairs
    crop = shards.read(index, (z0, y0, x0, z1, y1, x1))
    assert np.array_equal(crop.image_zyx, whole.image_zyx[z0:z1, y0:y1, x0:x1])
    assert np.array_equal(crop.label_zyx, whole.label_zyx[z0:z1, y0:y1, x0:x1])
    assert np.allclose(crop.affine_ras[:3, 3], (whole.affine_ras @ [x0, y0, z0, 1])[:3])
    assert np.allclose(crop.affine_ras[:3, :3], whole.affine_ras[:3, :3])
    for part, box in zip(crop.boxes, whole.boxes, strict=True):
        assert np.array_equal(np.array(part) + [z0, y0, x0] * 2, box)
    assert (crop.anatomies, crop.texts) == (whole.anatomies, whole.texts)


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 2)), st.sampled_from(["int16", "int32", "float32"]), st.booleans())
def test_voxels_go_where_they_are_wanted(
    shards: ShardDataset, axes: set[int], dtype: str, whole: bool
):
    box = None if whole else (1, 2, 3, 6, 8, 9)
    expected = shards.read(0, box)
    batch = np.zeros((2, *expected.image_zyx.shape), dtype)
    label = np.zeros(expected.label_zyx.shape, np.uint8, order="F")
    sample = shards.read(0, box, (np.flip(batch[1], sorted(axes)), label))
    assert np.array_equal(np.flip(batch[1], sorted(axes)), expected.image_zyx)
    assert np.array_equal(label, expected.label_zyx)
    assert not batch[0].any()
    assert np.shares_memory(sample.image_zyx, batch)
    assert sample.boxes == expected.boxes


@pytest.mark.parametrize(("dtype", "more"), [("uint8", 0), ("int16", 1), ("uint16", 0)])
def test_an_array_that_cannot_take_the_voxels_is_refused(
    shards: ShardDataset, dtype: str, more: int
):
    assert shards.image_dtype(0) == np.int16
    whole = shards[0]
    nz, ny, nx = whole.image_zyx.shape
    with pytest.raises(ValueError, match="holds int16"):
        shards.read(0, None, (np.empty((nz + more, ny, nx), dtype), whole.label_zyx))


def test_crop_reads_only_its_slabs(shards: ShardDataset, monkeypatch: pytest.MonkeyPatch):
    dataset = pickle.loads(pickle.dumps(shards))
    dataset[0]
    decoded: list[int] = []
    decode = slabs.blosc.decompress

    def counted(content: Any, out: Any) -> Any:
        decoded.append(1)
        return decode(content, out)

    monkeypatch.setattr(slabs.blosc, "decompress", counted)
    dataset.read(0, (2, 0, 0, 4, 5, 5))
    assert len(decoded) == 2  # one slab of two slices, of image and of label
    decoded.clear()
    depth = dataset[0].image_zyx.shape[0]
    assert len(decoded) == 2 * -(-depth // 2)


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 0, 1, 1), (-1, 0, 0, 1, 1, 1), (0, 0, 0, 99, 1, 1), (2, 0, 0, 1, 1, 1)]
)
def test_impossible_crops(shards: ShardDataset, box: Any):
    with pytest.raises(ValueError, match=row(shards, 0)["sample_id"]):
        shards.read(0, box)


def test_index_out_of_range_ends_iteration(shards: ShardDataset):
    assert len(list(shards)) == 5
    with pytest.raises(IndexError, match="has 5 samples"):
        shards[5]


def test_uint8_carries_its_window(world: Any, small: ShardConfig):
    world.add(1)
    world.run(small.model_copy(update={"dtype": "uint8"}))
    (sample,) = ShardDataset(world.store.url, "train")
    assert sample.image_zyx.dtype == np.uint8
    assert sample.hu_window == (-1150, 350)
    world.run()
    (exact,) = ShardDataset(world.store.url, "train")
    assert exact.image_zyx.dtype == np.int16
    assert exact.hu_window is None
    hu = -1150 + sample.image_zyx * (1500 / 255)
    assert np.abs(hu - exact.image_zyx).max() <= 1500 / 255 / 2 + 0.5


def test_objects_of_a_shard_are_bounded(shards: ShardDataset, small: ShardConfig):
    groups = {group_folder(shards, index) for index in range(len(shards))}
    for folder in groups:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert len(files) == 2 * small.objects_per_array + METADATA_OBJECTS


def test_every_sample_begins_a_slab(shards: ShardDataset, small: ShardConfig):
    assert all(offset % small.slab_z == 0 for offset in shards.rows["offset_z"].to_pylist())


def test_same_inputs_give_the_same_files(world: Any, world_at: Any, tmp_path: Path):
    other = world_at(Store.create(tmp_path / "other"), world.context.vault)
    for number in range(3):
        world.add(number)
    for number in (2, 0, 1):
        other.add(number)
    world.run()
    other.run()
    files = world.store.files("shards")
    assert files == other.store.files("shards")
    assert all(world.store.read_bytes(path) == other.store.read_bytes(path) for path in files)


def test_dataset_travels_to_processes(shards: ShardDataset):
    expected = shards[1]
    assert same(pickle.loads(pickle.dumps(shards))[1], expected)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert same(pool.apply(shards.__getitem__, (1,)), expected)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_dataset_in_use_survives_a_fork(shards: ShardDataset):
    expected = shards[1]  # starts zarr's event loop in this process
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        assert same(pool.apply_async(shards.__getitem__, (1,)).get(timeout=60), expected)


def test_torch_loader_takes_it(shards: ShardDataset):
    from torch.utils.data import DataLoader

    loader = DataLoader(shards, batch_size=None, shuffle=False)  # type: ignore[arg-type]
    assert [sample.sample_id for sample in loader] == shards.rows["sample_id"].to_pylist()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.full)])
def test_torch_loader_with_workers_gives_the_same(shards: ShardDataset, start: str):
    from torch.utils.data import DataLoader

    expected = [sample.content for sample in map(_content, shards)]
    loader = DataLoader(
        shards,  # type: ignore[arg-type]
        batch_size=None,
        num_workers=2,
        multiprocessing_context=start,
        collate_fn=_content,
    )
    assert [found.content for found in loader] == expected


def test_threads_share_a_dataset(shards: ShardDataset):
    from concurrent.futures import ThreadPoolExecutor

    dataset = pickle.loads(pickle.dumps(shards))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(dataset.read, [n % 5 for n in range(40)]))
    assert all(same(sample, shards[n % 5]) for n, sample in enumerate(found))


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


@pytest.mark.full
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
    shard = group_path("train", row(mine, 0)["shard"])
    for path in there.store.files(f"{shard}/image/c"):
        there.store.remove(path)
    with pytest.raises(StoreError, match=row(mine, 0)["sample_id"]):
        far[0]


def test_reading_needs_no_table_and_no_vault(mine: ShardDataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FVLM_VAULT")
    store = Path(mine.store)
    (store / "tables").rename(store.with_name("gone"))
    assert len(ShardDataset(store, "train")) == 3
    assert os.environ.get("FVLM_VAULT") is None
