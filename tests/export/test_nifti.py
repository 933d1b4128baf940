"""Images and label maps lie where the patient lay, in HU, whatever reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from fvlm_data.export.nifti import nifti_bytes
from fvlm_data.segment.nifti import read_nifti
from tests.export.conftest import OBLIQUE, PATIENTS, affine_of, field_hu, positions_ras
from tests.export.exporting import exported
from tests.shards.conftest import World

LABELS = {"liver": 1, "spleen": 2}
"""Values in the source's masks and, by the order of the anatomies, in the export's."""


def read_with_nibabel(path: Path) -> tuple[Any, Any]:
    """Values (i, j, k) and positions (i, j, k, 3) in RAS mm."""
    image = nib.load(path)
    return np.asanyarray(image.dataobj), positions_ras(image.shape, image.affine)


def read_with_simpleitk(path: Path) -> tuple[Any, Any]:
    image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1  # ITK works in LPS
    return SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), positions_ras(
        image.GetSize(), affine
    )


def read_with_monai(path: Path) -> tuple[Any, Any]:
    from monai.transforms import LoadImage

    image = LoadImage(image_only=True)(str(path))
    return image.numpy(), positions_ras(image.shape, image.affine.numpy())


pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # MONAI tries readers

READERS = [read_with_nibabel, read_with_simpleitk, read_with_monai]


@pytest.fixture(scope="module")
def folder(any_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported("monai", tmp_path_factory.mktemp("nifti") / "out", any_world.store.url)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("number", PATIENTS)
def test_hu_and_labels_at_their_place(any_world: World, folder: Path, number: int, read: Any):
    """In patient coordinates, against the field and the mask that the volume was made of."""
    volume_id = f"v_{number:02}"
    samples = any_world.samples()
    (sample_id,) = (s for s, row in samples.items() if row["volume_id"] == volume_id)
    values, positions = read(folder / "images" / f"{sample_id}.nii.gz")
    labels, label_positions = read(folder / "labels" / f"{sample_id}.nii.gz")
    np.testing.assert_allclose(positions, label_positions, atol=1e-4)

    mask = read_nifti(
        any_world.store.read_bytes(f"masks/{volume_id[-2:]}/{volume_id}.total.nii.gz")
    )
    inverse = np.linalg.inv(affine_of(number))
    source_ijk = positions @ inverse[:3, :3].T + inverse[:3, 3]
    last = np.array(mask.data.shape) - 1
    inside = ((source_ijk >= -1e-3) & (source_ijk <= last + 1e-3)).all(axis=-1)
    assert inside.sum() > 300
    step = 1500 / 255 if "uint8" in any_world.store.url else 0
    off = np.abs(values - field_hu(positions))[inside]
    assert off.max() <= 1.01 + step / 2  # rounded in the source, the shard and the file

    nearest = np.rint(np.clip(source_ijk, 0, last)).astype(int)
    there = mask.data[tuple(np.moveaxis(nearest, -1, 0))]
    expected = np.where(np.isin(there, list(LABELS.values())), there, 0)
    unsure = (np.abs(source_ijk % 1 - 0.5) < 1e-3).any(axis=-1)  # between two voxels
    assert (labels == expected)[inside & ~unsure].all()
    assert set(np.unique(labels)) == {0, *LABELS.values()}


def test_some_are_oblique(any_world: World):
    affines = [np.reshape(row["affine_ras"], (4, 4)) for row in any_world.samples().values()]
    oblique = [a for a in affines if np.count_nonzero(np.abs(a[:3, :3]) > 0.1) > 3]
    assert len(oblique) == len(OBLIQUE)


def test_header(folder: Path):
    for kind, dtype in (("images", np.int16), ("labels", np.uint8)):
        for path in (folder / kind).iterdir():
            header = nib.load(path).header
            assert header.get_data_dtype() == dtype
            assert header["sform_code"] == header["qform_code"] == 1
            assert header.get_slope_inter() == (None, None)
            assert header.get_xyzt_units() == ("mm", "sec")
            np.testing.assert_allclose(header.get_zooms(), (1.5, 1.5, 3.0), atol=1e-5)
            assert header["descrip"] == header["db_name"] == b""


def test_bytes_depend_on_the_content_alone():
    rng = np.random.default_rng(3)
    image = rng.integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    other_layout = np.asfortranarray(image)
    assert nifti_bytes(image, affine_of(1)) == nifti_bytes(other_layout, affine_of(1))
    assert nifti_bytes(image, affine_of(1)) != nifti_bytes(image, affine_of(0))
