from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from fvlm_data.export.source import open_source
from fvlm_data.export.webdataset import plan
from fvlm_data.shards import ShardDataset
from tests.export.conftest import make_store
from tests.export.exporting import exported
from tests.shards.conftest import World

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset's


def opened(folder: Path, split: str) -> list[dict[str, Any]]:
    """All samples of a split by webdataset's own reading and decoding."""
    urls = sorted(str(path) for path in folder.glob(f"{split}-*.tar"))
    return list(webdataset.WebDataset(urls, shardshuffle=False).decode())


@pytest.fixture(scope="module")
def folder(any_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported("webdataset", tmp_path_factory.mktemp("wds") / "out", any_world.store.url)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_webdataset_reads_what_the_shards_hold(any_world: World, folder: Path, split: str):
    dataset = ShardDataset(any_world.store.url, split)
    samples = opened(folder, split)
    assert [sample["__key__"] for sample in samples] == dataset.rows["sample_id"].to_pylist()
    for number, sample in enumerate(samples):
        expected = dataset[number]
        np.testing.assert_array_equal(sample["image.npy"], expected.image_zyx)
        assert sample["image.npy"].dtype == expected.image_zyx.dtype
        np.testing.assert_array_equal(sample["label.npy"], expected.label_zyx)
        record = sample["json"]
        assert record["split"] == split
        assert record["hu_window"] == (expected.hu_window and list(expected.hu_window))
        np.testing.assert_array_equal(record["affine_ras"], expected.affine_ras)
        assert tuple(record["spacing_zyx_mm"]) == expected.spacing_mm
        assert tuple(record["anatomies"]) == expected.anatomies
        for place, said in enumerate(record["anatomies"].values()):
            assert said["text"] == expected.texts[place]
            assert said["state"] == expected.states[place]
            assert said["signature"] == expected.signatures[place]
            assert frozenset(said["findings"]) == expected.findings[place]
            assert frozenset(said["labels"]) == expected.labels[place]
            assert tuple(said["box_zyx"]) == expected.boxes[place]
            assert said["apart"] == []


def test_a_record_holds_nothing_else(folder: Path):
    (sample, *_) = opened(folder, "train")
    assert set(sample["json"]) == {
        "sample_id", "patient_id", "study_id", "volume_id", "split", "spacing_zyx_mm",
        "affine_ras", "hu_window", "anatomies",
    }  # fmt: skip
    assert set(sample) - {"__key__", "__url__", "__local_path__"} == {
        "image.npy", "label.npy", "json",
    }  # fmt: skip


def test_the_list_of_tar_files(folder: Path):
    listed = json.loads((folder / "dataset.json").read_text())
    assert listed["samples"] == {"train": 3, "validation": 1, "test": 2}
    assert listed["label_values"] == {"background": 0, "liver": 1, "spleen": 2, "kidney": 3}
    tars = {tar["url"]: tar["nsamples"] for of in listed["tars"].values() for tar in of}
    assert tars == {f"{split}-000000.tar": count for split, count in listed["samples"].items()}
    assert {path.name for path in folder.iterdir()} == {*tars, "dataset.json"}


@pytest.fixture(scope="module")
def fine_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Samples of some 50,000 bytes."""
    return make_store(tmp_path_factory.mktemp("fine"), spacing_mm=(0.5, 0.5, 1.0)).store.url


@pytest.mark.parametrize(
    ("max_bytes", "samples"), [(1, [1, 1, 1]), (105_000, [2, 1]), (10**9, [3])]
)
def test_tar_files_are_as_long_as_planned_and_bounded(
    fine_store: str, tmp_path: Path, max_bytes: int, samples: list[int]
):
    from fvlm_data.export import webdataset as form
    from fvlm_data.export.target import Draft

    source = open_source(fine_store)
    form.write(source, Draft(tmp_path), lambda _done, _total: None, max_bytes=max_bytes)
    tars = list(plan(source, "train", max_bytes))
    assert [len(tar.members) for tar in tars] == samples
    for tar in tars:
        assert (tmp_path / tar.path).stat().st_size == tar.size_bytes
        assert tar.size_bytes <= max_bytes or len(tar.members) == 1
    assert [number for tar in tars for number, _, _ in tar.members] == [0, 1, 2]
    assert len(opened(tmp_path, "train")) == 3


@pytest.mark.parametrize("max_bytes", [60_000, 90_000, 100_000, 105_000])
def test_no_tar_file_has_room_for_the_next_sample(fine_store: str, max_bytes: int):
    """Else there would be more files than needed; blocks of tar are 512 bytes, records 10,240."""
    source = open_source(fine_store)
    dataset = source.splits["train"]

    def taken(number: int, record: bytes) -> int:
        sample = dataset[number]
        arrays = (sample.image_zyx, sample.label_zyx)
        sizes = [*(128 + array.nbytes for array in arrays), len(record)]
        return sum(512 + math.ceil(size / 512) * 512 for size in sizes)

    for tar, following in pairwise(plan(source, "train", max_bytes)):
        members = [(number, record) for number, _, record in (*tar.members, following.members[0])]
        size = 1024 + sum(taken(*member) for member in members)
        assert math.ceil(size / 10_240) * 10_240 > max_bytes
