"""The chain on real CT: a JPEG 2000 DICOM series with its mask, and NIfTI files."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fvlm_data.inspect.verify import verify
from fvlm_data.run.config import load_config
from fvlm_data.shards import ShardDataset
from fvlm_data.store.tables import Store
from tests.e2e.chain import run_chain

ABDOMEN = """FINDINGS:
The liver is enlarged and shows diffuse fatty infiltration. No focal hepatic lesion.
The spleen is normal in size. Both kidneys are normal, without hydronephrosis.
Degenerative changes of the lumbar vertebrae.
IMPRESSION: Hepatic steatosis with hepatomegaly."""

NIFTI_MASKS = {"example_ct_sm.nii.gz": "example_seg.nii.gz"}


@pytest.fixture(scope="module")
def dicom_store(
    real_data: Path, tmp_path_factory: pytest.TempPathFactory, shared_vault: Path
) -> Path:
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FVLM_VAULT", str(shared_vault))
        masks = folder / "masks"
        masks.mkdir()
        shutil.copyfile(real_data / "example_seg_dicom.nii.gz", masks / "seg.nii.gz")
        _table(masks / "manifest.csv", ["volume", "mask"], ["example_ct_dicom", "seg.nii.gz"])
        reports = folder / "reports.csv"
        _table(reports, ["volume_name", "report"], ["example_ct_dicom", ABDOMEN])
        source = folder / "archive"
        shutil.copytree(real_data / "example_ct_dicom", source / "example_ct_dicom")
        run_chain(_config(folder / "store", "dicom", source, reports, masks / "manifest.csv"))
    return folder / "store"


def test_the_dicom_series_becomes_a_sample(dicom_store: Path) -> None:
    volume = Store.open(dicom_store).read("volumes").to_pylist()[0]
    assert volume["shape"] == [512, 512, 20]
    assert volume["spacing_mm"] == pytest.approx([0.9765625, 0.9765625, 2.0], abs=1e-6)
    dataset = ShardDataset(str(dicom_store), "train")
    assert len(dataset) == 1
    sample = dataset[0]
    states = dict(zip(sample.anatomies, sample.states, strict=True))
    assert states["liver"] == "abnormal"
    assert states["spleen"] == "normal_stated"
    assert "kidney" not in states  # the slices end above the kidneys: no text without an image
    labels = dict(zip(sample.anatomies, sample.labels, strict=True))
    assert {"hepatic_steatosis", "hepatomegaly"} <= set(labels["liver"])
    assert all(check.passed for check in verify(Store.open(dicom_store)))


def test_organs_keep_volume_and_place(dicom_store: Path) -> None:
    store = Store.open(dicom_store)
    ml_before: dict[str, float] = {
        row["class_name"]: row["volume_ml"] for row in store.read("masks").to_pylist()
    }
    sample = ShardDataset(str(dicom_store), "train")[0]
    for organ in ("liver", "spleen"):
        inside = sample.label_zyx == sample.label_values[organ]
        ml = inside.sum() * np.prod(sample.spacing_mm) / 1000
        assert ml == pytest.approx(ml_before[organ], rel=0.03), organ
    assert _patient_left_mm(sample, "liver") < _patient_left_mm(sample, "spleen")


@pytest.mark.parametrize(
    "orientation",
    ["LPS", *(pytest.param(one, marks=pytest.mark.full) for one in ("RAS", "LAS"))],
)
def test_every_input_order_gives_the_same_place(
    orientation: str, real_data: Path, tmp_path: Path
) -> None:
    """The same torso stored in three axis orders: liver on the patient's right, same ml."""
    import nibabel as nib

    source, masks = tmp_path / "ct", tmp_path / "masks"
    source.mkdir()
    masks.mkdir()
    for name, target in (
        ("example_ct_sm.nii.gz", source / "torso.nii.gz"),
        ("example_seg.nii.gz", masks / "torso.nii.gz"),
    ):
        image = nib.load(real_data / name)
        now = nib.orientations.io_orientation(image.affine)
        wanted = nib.orientations.axcodes2ornt(tuple(orientation))
        turned = image.as_reoriented(nib.orientations.ornt_transform(now, wanted))
        nib.save(nib.Nifti1Image(np.asarray(turned.dataobj), turned.affine), target)
    reports = tmp_path / "reports.csv"
    _table(reports, ["VolumeName", "report"], ["torso.nii.gz", ABDOMEN])
    run_chain(_config(tmp_path / "store", "nifti", source, reports, masks))

    sample = ShardDataset(str(tmp_path / "store"), "train")[0]
    before = nib.load(real_data / "example_seg.nii.gz")
    voxel_ml = abs(np.linalg.det(before.affine[:3, :3])) / 1000
    liver_ml = (np.asarray(before.dataobj) == 5).sum() * voxel_ml
    inside = sample.label_zyx == sample.label_values["liver"]
    ml = inside.sum() * np.prod(sample.spacing_mm) / 1000
    assert ml == pytest.approx(liver_ml, rel=0.03)
    assert _patient_left_mm(sample, "liver") < _patient_left_mm(sample, "spleen")


def _config(store: Path, kind: str, source: Path, reports: Path, masks: Path) -> Any:
    return load_config(
        None,
        (),
        {
            "store": str(store),
            "sources": [{"kind": kind, "path": str(source)}],
            "reports": [{"path": str(reports)}],
            "segment": {
                "backend": "precomputed",
                "masks": str(masks),
                "classes": "totalsegmentator_v2",
            },
            "pair": {"split": {"train": 1.0, "validation": 0.0, "test": 0.0}},
            "shard": {"spacing_mm": [1.5, 1.5, 2.0]},
        },
    )


def _table(path: Path, head: list[str], row: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([head, row])


def _patient_left_mm(sample: Any, anatomy: str) -> float:
    """Mean distance to the patient's left of an anatomy, in mm."""
    inside = np.argwhere(sample.label_zyx == sample.label_values[anatomy])
    x, y, z = inside[:, 2], inside[:, 1], inside[:, 0]
    ras = np.asarray(sample.affine_ras) @ np.stack([x, y, z, np.ones_like(x)])
    return float(-ras[0].mean())
