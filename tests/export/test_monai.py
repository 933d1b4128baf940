from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fvlm_data.shards import ShardDataset
from tests.export.exporting import exported

pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # MONAI tries readers

KEYS = {"training": "train", "validation": "validation", "test": "test"}


@pytest.fixture(scope="module")
def data() -> Any:
    """monai.data, which takes seconds to import: not in each process that collects the tests."""
    import monai.data

    return monai.data


@pytest.fixture
def datalist(store: str, tmp_path: Path) -> Path:
    return exported("monai", tmp_path / "out", store) / "dataset.json"


@pytest.mark.parametrize("key", KEYS)
def test_the_datalist_names_files_and_texts(data: Any, datalist: Path, store: str, key: str):
    items = data.load_decathlon_datalist(datalist, is_segmentation=True, data_list_key=key)
    dataset = ShardDataset(store, KEYS[key])
    assert [item["sample_id"] for item in items] == dataset.rows["sample_id"].to_pylist()
    for number, item in enumerate(items):
        assert Path(item["image"]).is_file()
        assert Path(item["label"]).is_file()
        sample = dataset[number]
        said = {anatomy: text for anatomy, text in item["texts"].items() if text}
        assert said == dict(zip(sample.anatomies, sample.texts, strict=True))
        states = {anatomy: state for anatomy, state in item["states"].items() if state}
        assert states == dict(zip(sample.anatomies, sample.states, strict=True))


def test_splits_share_no_patient_and_no_file(data: Any, datalist: Path):
    items = {key: data.load_decathlon_datalist(datalist, True, key) for key in KEYS}
    for name in ("patient_id", "image", "label"):
        seen = [{item[name] for item in of_split} for of_split in items.values()]
        assert len(set.union(*seen)) == sum(len(one) for one in seen)
    assert {len(of_split) for of_split in items.values()} == {3, 1, 2}


def test_a_batch_of_monai(data: Any, datalist: Path):
    """Items of several samples can be loaded and joined as MONAI does it."""
    from monai.transforms import Compose, LoadImaged, ResizeWithPadOrCropd

    keys = ["image", "label"]
    steps = [
        LoadImaged(keys, ensure_channel_first=True),
        ResizeWithPadOrCropd(keys, spatial_size=(16, 16, 8)),
    ]
    items = data.load_decathlon_datalist(datalist, True, "training")
    (batch,) = data.DataLoader(data.Dataset(items, Compose(steps)), batch_size=3)
    assert batch["image"].shape == (3, 1, 16, 16, 8)
    assert torch.equal(batch["image"].affine, batch["label"].affine)
    assert batch["texts"]["liver"] == ["liver: normal."] * 3


def test_properties_and_relative_paths(data: Any, datalist: Path):
    found = data.load_decathlon_properties(
        datalist, ["labels", "modality", "numTraining", "numTest"]
    )
    assert found["labels"] == {"0": "background", "1": "liver", "2": "spleen", "3": "kidney"}
    assert found["modality"] == {"0": "CT"}
    assert (found["numTraining"], found["numTest"]) == (3, 2)
    for item in json.loads(datalist.read_text())["training"]:
        assert item["image"] == f"images/{item['sample_id']}.nii.gz"
        assert item["label"] == f"labels/{item['sample_id']}.nii.gz"


def test_a_split_that_is_not_there_has_no_key(data: Any, store: str, tmp_path: Path):
    datalist = exported("monai", tmp_path / "out", store, "--split", "train") / "dataset.json"
    assert len(data.load_decathlon_datalist(datalist, True, "training")) == 3
    with pytest.raises(ValueError, match="Data list test not specified"):
        data.load_decathlon_datalist(datalist, True, "test")
