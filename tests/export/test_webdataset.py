from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from fvlm_data.export.source import open_source
from fvlm_data.export.webdataset import plan
from fvlm_data.shards import ShardDataset
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


@pytest.mark.parametrize("max_bytes", [1, 25_000, 40_000, 10**9])
def test_tar_files_are_as_long_as_planned_and_bounded(store: str, tmp_path: Path, max_bytes: int):
    from fvlm_data.export import webdataset as form
    from fvlm_data.export.target import Draft

    source = open_source(store)
    form.write(source, Draft(tmp_path), lambda _done, _total: None, max_bytes=max_bytes)
    numbers: list[int] = []
    for tar in plan(source, "train", max_bytes):
        assert (tmp_path / tar.path).stat().st_size == tar.size_bytes
        assert tar.size_bytes <= max_bytes or len(tar.members) == 1
        numbers += [number for number, _, _ in tar.members]
    assert numbers == [0, 1, 2]
    assert len(opened(tmp_path, "train")) == 3


def test_no_tar_file_could_take_the_next_sample(store: str):
    """Files are not needlessly many."""
    source = open_source(store)
    for max_bytes in range(20_000, 70_000, 3_000):
        count = len(list(plan(source, "train", max_bytes)))
        assert count >= len(list(plan(source, "train", max_bytes + 10_240)))
    assert len(list(plan(source, "train", 10**9))) == 1
