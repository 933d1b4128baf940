"""What cannot be exported stops with a sentence that says why."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest

from fvlm_data.errors import InputError, StoreError
from fvlm_data.export.source import open_source
from fvlm_data.shards import folder as shard_folder
from fvlm_data.store.tables import Store
from tests.export.conftest import make_store
from tests.export.exporting import refused
from tests.shards.conftest import SMALL


def test_no_store_there(tmp_path: Path):
    assert "nothing found there" in refused("monai", tmp_path / "out", str(tmp_path / "typo"))
    assert not (tmp_path / "out").exists()


def test_no_shards_yet(tmp_path: Path):
    Store.create(tmp_path / "store")
    with pytest.raises(InputError, match="no sample found in train, validation, test; expected"):
        open_source(str(tmp_path / "store"))


def test_unknown_split(store: str, tmp_path: Path):
    sentence = refused("monai", tmp_path / "out", store, "--split", "dev")
    assert "split dev: not known" in sentence


def test_shards_of_two_settings(tmp_path: Path):
    made = make_store(tmp_path)
    made.add(9)
    made.run(SMALL)  # one more sample, then all anew under another setting but for one shard
    url = made.store.url
    before = shard_folder.ShardFolder(url).listing("train").indexes
    other = SMALL.model_copy(update={"anatomies": ("spleen", "liver")})
    old = {path: made.store.read_bytes(path) for path in made.store.files("shards/validation")}
    made.run(other)
    assert shard_folder.ShardFolder(url).listing("train").indexes != before
    for path in made.store.files("shards/validation"):
        made.store.remove(path)
    for path, content in old.items():
        made.store.write_bytes(path, content)
    with pytest.raises(StoreError, match="differ in anatomies, image type or HU window"):
        open_source(url)
    assert open_source(url, ["train"]).label_values == {"spleen": 1, "liver": 2}


def test_a_patient_in_two_splits(tmp_path: Path):
    made = make_store(tmp_path)
    (path,) = (p for p in made.store.files("shards/validation") if p.endswith(".parquet"))
    split, shard = path.split("/")[1], Path(path).stem
    rows = shard_folder.ShardFolder(made.store.url).read_index(split, shard)
    place = rows.schema.get_field_index("patient_id")
    moved = rows.set_column(place, rows.schema.field(place), [["p_00"]])
    made.store.write_bytes(path, shard_folder.index_bytes(moved))
    with pytest.raises(StoreError, match="patient p_00 has samples in train and in validation"):
        open_source(made.store.url)


def test_damage_names_the_sample_and_leaves_nothing_that_looks_whole(tmp_path: Path):
    made = make_store(tmp_path)
    (image,) = (
        p for p in made.store.files("shards/test") if "/image/c/" in p and p.endswith("0/0/0")
    )
    content = made.store.read_bytes(image)
    made.store.write_bytes(image, content[:40] + bytes(60) + content[100:])
    for form in ("webdataset", "monai"):
        sentence = refused(form, tmp_path / form, made.store.url)
        assert "error: sample sa_" in sentence
        assert "cannot be read" in sentence
        assert not (tmp_path / form).exists()


def test_the_whole_content_is_in_the_hash(store: str, tmp_path: Path):
    made = make_store(tmp_path)
    before = open_source(made.store.url).content
    assert open_source(made.store.url).content == before
    made.texts(0, "changed")
    made.run(SMALL)
    assert open_source(made.store.url).content != before
    assert open_source(made.store.url, ["train"]).content != open_source(made.store.url).content


def test_a_store_on_object_storage_is_read_alike(store: str):
    memory = fsspec.filesystem("memory")
    memory.put(f"{store}/shards", "/bucket/store/shards", recursive=True)
    remote = open_source("memory://bucket/store")
    assert remote.content == open_source(store).content
    for split, dataset in remote.splits.items():
        np.testing.assert_array_equal(
            dataset[0].image_zyx, open_source(store).splits[split][0].image_zyx
        )
    memory.rm("/bucket", recursive=True)
