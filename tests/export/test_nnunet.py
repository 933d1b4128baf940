from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.export.nnunet import folds
from fvlm_data.export.source import Source, open_source
from fvlm_data.shards import ShardDataset
from tests.export.exporting import exported, refused
from tests.lacking import peer_program


@pytest.fixture(scope="module")
def folder(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("nnUNet_raw")
    return exported("nnunet", raw / "Dataset501_Small", world.store.url)


def cases(folder: Path) -> set[str]:
    return {path.name.removesuffix(".nii.gz") for path in folder.iterdir()}


def test_layout_is_the_documented_one(folder: Path, store: str):
    """By nnU-Net's documentation/dataset_format.md: names, channels, labels, counts."""
    described = json.loads((folder / "dataset.json").read_text())
    assert described["channel_names"] == {"0": "CT"}
    assert described["file_ending"] == ".nii.gz"
    assert described["labels"] == {"background": 0, "liver": 1, "spleen": 2, "kidney": 3}
    ids = {
        split: set(ShardDataset(store, split).rows["sample_id"].to_pylist())
        for split in ("train", "validation", "test")
    }
    training = ids["train"] | ids["validation"]
    assert described["numTraining"] == len(training) == 4
    assert cases(folder / "labelsTr") == training
    assert cases(folder / "imagesTr") == {f"{case}_0000" for case in training}
    assert cases(folder / "labelsTs") == ids["test"]
    assert cases(folder / "imagesTs") == {f"{case}_0000" for case in ids["test"]}


def test_label_map_and_image_share_a_grid(folder: Path):
    """As nnU-Net checks it, with the reader that it picks for .nii.gz."""
    for path in (folder / "labelsTr").iterdir():
        label = SimpleITK.ReadImage(str(path))
        name = path.name.replace(".nii.gz", "_0000.nii.gz")
        image = SimpleITK.ReadImage(str(folder / "imagesTr" / name))
        assert label.GetSize() == image.GetSize()
        for told in ("GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(label, told)(), getattr(image, told)())
        assert set(np.unique(SimpleITK.GetArrayFromImage(label))) <= {0, 1, 2, 3}


def test_the_fold_is_the_store_s(folder: Path, store: str):
    (fold,) = json.loads((folder / "splits_final.json").read_text())
    for name, split in (("train", "train"), ("val", "validation")):
        assert fold[name] == ShardDataset(store, split).rows["sample_id"].to_pylist()


@given(owners=st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_folds_part_patients_where_nothing_is_for_validation(owners: list[int]):
    """Whatever the number of scans of each patient."""
    patient_of = {f"sa_{number:02}": f"p_{owner}" for number, owner in enumerate(owners)}
    rows = pa.table({"sample_id": list(patient_of), "patient_id": list(patient_of.values())})
    made = folds(Source("s", {"train": SimpleNamespace(rows=rows)}, {}, "int16", None, ""))
    patients = len(set(owners))
    assert len(made) == (min(5, patients) if patients > 1 else 0)
    for fold in made:
        sides = [{patient_of[case] for case in fold[name]} for name in ("train", "val")]
        assert all(sides)
        assert sides[0].isdisjoint(sides[1])
        assert sorted(fold["train"] + fold["val"]) == sorted(patient_of)
    if made:
        assert sorted(case for fold in made for case in fold["val"]) == sorted(patient_of)


def test_two_volumes_of_a_patient_stay_together(store: str):
    made = folds(open_source(store, ["train", "test"]))
    assert sorted(len(fold["val"]) for fold in made) == [1, 2]


def test_one_patient_gives_no_fold(store: str):
    assert folds(open_source(store, ["validation"])) == []


@pytest.mark.parametrize("name", ["out", "Dataset1_A", "Dataset501", "Dataset501_A B"])
def test_a_name_that_nnunet_would_not_find(store: str, tmp_path: Path, name: str):
    assert "expected Dataset, three digits, _ and a name" in refused(
        "nnunet", tmp_path / name, store
    )
    assert not (tmp_path / name).exists()


def test_nothing_to_train_on(store: str, tmp_path: Path):
    sentence = refused("nnunet", tmp_path / "Dataset001_A", store, "--split", "test")
    assert "no sample found in train and validation" in sentence


@pytest.mark.network
def test_nnunet_finds_no_fault(folder: Path):
    """With nnU-Net itself, in an environment of its own: see docs/export.md."""
    peer_program("nnUNetv2_plan_and_preprocess")
    script = (
        "import sys\n"
        "from nnunetv2.experiment_planning import verify_dataset_integrity as integrity\n"
        "if __name__ == '__main__':\n"
        "    integrity.verify_dataset_integrity(sys.argv[1], 2)\n"
    )
    ended = subprocess.run(
        [peer_program("python"), "-W", "ignore", "-c", script, str(folder)],
        env={name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "verify_dataset_integrity Done" in ended.stdout
    assert "Warning" not in ended.stdout
    assert "Error" not in ended.stdout
