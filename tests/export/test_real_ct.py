"""A real torso through the chain and out again, beside the file that it came from."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate
from tests.export.conftest import positions_ras
from tests.export.exporting import exported

REPORT = "FINDINGS: The liver is enlarged. The spleen is normal. IMPRESSION: Hepatomegaly."
WINDOW = (-1150, 350)
ORGANS = ("liver", "spleen")


@pytest.fixture(scope="module")
def folder(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported torso, whose source was turned by 20 degrees about the body's long axis."""
    made = tmp_path_factory.mktemp("real")
    for name in ("ct", "masks"):
        (made / name).mkdir()
    for name, target in (("example_ct_sm", "ct"), ("example_seg", "masks")):
        turned(real_data / f"{name}.nii.gz").to_filename(made / target / "torso.nii.gz")
    with (made / "reports.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["VolumeName", "report"], ["torso.nii.gz", REPORT]])
    values: dict[str, Any] = {
        "store": str(made / "store"),
        "sources": [{"kind": "nifti", "path": str(made / "ct")}],
        "reports": [{"path": str(made / "reports.csv")}],
        "segment": {
            "backend": "precomputed",
            "masks": str(made / "masks"),
            "classes": "totalsegmentator_v2",
        },
        "pair": {"split": {"train": 1.0, "validation": 0.0, "test": 0.0}},
        "shard": {"spacing_mm": [2.0, 2.0, 3.0], "hu_window": list(WINDOW), "anatomies": ORGANS},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FVLM_VAULT", str(made / "vault"))
        curate(load_config(None, (), values))
    shutil.rmtree(made / "store" / "volumes")
    return exported("nnunet", made / "Dataset001_Torso", str(made / "store")).parent


def turned(path: Path) -> Any:
    image = nib.load(path)
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    about_z = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return nib.Nifti1Image(np.asarray(image.dataobj), about_z @ image.affine)


def at(source: Any, positions: Any, order: int) -> tuple[Any, Any]:
    """Values of an image at positions (..., 3) in RAS mm, and whether they lie within it."""
    inverse = np.linalg.inv(source.affine)
    ijk = np.moveaxis(positions @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
    last = np.reshape(source.shape, (3, 1, 1, 1)) - 1
    inside = ((ijk >= 0) & (ijk <= last)).all(axis=0)
    data = np.asarray(source.dataobj).astype(float)
    return map_coordinates(data, ijk, order=order, mode="nearest"), inside


def test_hu_are_those_of_the_source(folder: Path):
    (path,) = (folder / "Dataset001_Torso" / "imagesTr").iterdir()
    image = nib.load(path)
    expected, inside = at(
        nib.load(folder / "ct" / "torso.nii.gz"), positions_ras(image.shape, image.affine), 1
    )
    assert inside.mean() > 0.8
    off = np.abs(np.asarray(image.dataobj) - np.clip(expected, *WINDOW))[inside]
    assert off.max() <= 0.51  # rounded to 1 HU


def test_organs_are_those_of_the_source(folder: Path):
    (path,) = (folder / "Dataset001_Torso" / "labelsTr").iterdir()
    labels = nib.load(path)
    values, source = np.asarray(labels.dataobj), nib.load(folder / "masks" / "torso.nii.gz")
    there, _ = at(source, positions_ras(labels.shape, labels.affine), 0)
    for value, total_segmentator_class in ((1, 5), (2, 1)):
        ours, theirs = values == value, there == total_segmentator_class
        dice = 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())
        assert dice > 0.99
        ml = ours.sum() * np.prod(labels.header.get_zooms()) / 1000
        source_voxels = (np.asarray(source.dataobj) == total_segmentator_class).sum()
        source_ml = source_voxels * np.prod(source.header.get_zooms()) / 1000
        assert ml == pytest.approx(source_ml, rel=0.03)
