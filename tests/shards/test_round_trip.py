"""Real CT through a shard and back: error in HU and volumes of organs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from fvlm_data.segment.merge import merge_labels
from fvlm_data.segment.nifti import read_nifti
from fvlm_data.shards.config import ShardConfig
from fvlm_data.shards.objects import Objects
from fvlm_data.shards.preprocess import prepare
from fvlm_data.shards.slabs import read_group
from fvlm_data.shards.writer import spool, write_shard
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from fvlm_data.shards.preprocess import PreparedSample

EN = Vocabulary.load()

ORGANS = ("liver", "spleen", "kidney", "stomach", "aorta", "colon")
LIMIT_HU = {"int16": 0.51, "uint8": 1500 / 255 / 2 + 0.01}


@pytest.fixture(scope="module")
def torso(real_data: Path) -> tuple[Any, Any, Any]:
    """Real CT at 3 mm, its label map of 41 classes merged, affine."""
    volume = nib.load(real_data / "example_ct_sm.nii.gz")
    mask = read_nifti((real_data / "example_seg.nii.gz").read_bytes())
    maps = [(np.asarray(mask.data), mask.embedded_classes, "totalsegmentator_v2")]
    return np.asarray(volume.dataobj), merge_labels(maps, ORGANS, EN), volume.affine


def stored(sample: PreparedSample, config: ShardConfig, folder: Path) -> tuple[Any, Any, Any]:
    from fsspec.implementations.local import LocalFileSystem

    with spool() as aside:
        write_shard(folder, [aside.lay(sample)], config)
    attributes, arrays = read_group(Objects(LocalFileSystem()), str(folder))
    part = tuple(slice(0, n) for n in sample.image_zyx.shape)
    found = []
    for array in arrays.values():
        out = np.empty(sample.image_zyx.shape, array.dtype)
        array.read(part, out)  # type: ignore[arg-type]
        found.append(out)
    return attributes, found[0], found[1]


@pytest.mark.parametrize("dtype", ["int16", "uint8"])
@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (1.0, 1.0, 3.0)])
def test_hu_and_organ_volumes_survive(torso: Any, dtype: Any, spacing: Any, tmp_path: Path):
    image, label, affine = torso
    config = ShardConfig(anatomies=ORGANS, dtype=dtype, spacing_mm=spacing)
    sample = prepare(image, label, affine, config)
    assert sample is not None
    attributes, shown, organs = stored(sample, config, tmp_path / "shard.zarr")
    low, high = attributes["hu_window"]
    hu = low + shown * ((high - low) / 255) if dtype == "uint8" else shown.astype(float)
    z, y, x = np.indices(shown.shape).reshape(3, -1)
    ijk = np.linalg.inv(affine) @ sample.affine_ras @ np.stack([x, y, z, np.ones_like(x)])
    ideal = ndimage.map_coordinates(image.astype(float), ijk[:3], order=1, mode="nearest")
    error = np.abs(hu.ravel() - np.clip(ideal, low, high))
    assert error.max() <= LIMIT_HU[dtype]
    voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000
    target_ml = float(np.prod(spacing)) / 1000
    compared = 0
    for anatomy, value in attributes["anatomies"].items():
        before, after = (label == value).sum() * voxel_ml, (organs == value).sum() * target_ml
        if before > 5:
            compared += 1
            assert after == pytest.approx(before, rel=0.02), anatomy
    assert compared >= 3
