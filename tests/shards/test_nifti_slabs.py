from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.segment.nifti import NiftiError, label_map_bytes
from fvlm_data.shards import nifti_slabs
from fvlm_data.shards.config import ShardConfig
from fvlm_data.shards.nifti_slabs import open_nifti
from fvlm_data.shards.preprocess import prepare, sampled
from fvlm_data.shards.target_grid import locate

AFFINES = {
    "LPS": np.diag([-0.8, -0.8, 1.2, 1.0]),
    "feet last": np.diag([0.8, 0.8, -1.2, 1.0]),
    "sagittal": np.array([[0, 0, -1.1, 5], [0.9, 0, 0, 6], [0, 0.8, 0, 7], [0, 0, 0, 1.0]]),
}


def volume(depth: int = 23) -> Any:
    return np.random.default_rng(depth).integers(-1100, 300, (17, 19, depth)).astype(np.int16)


@settings(max_examples=60, deadline=None)
@given(
    slices=st.integers(1, 30),
    first=st.integers(0, 22),
    size=st.integers(1, 23),
    packed=st.booleans(),
)
def test_slabs_of_a_part_are_the_part(slices: int, first: int, size: int, packed: bool):
    image = volume()
    content = label_map_bytes(image, np.eye(4))
    found = open_nifti(content if packed else gzip.decompress(content))
    part = (slice(2, 9), slice(3, 19), slice(first, min(23, first + size)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nifti_slabs, "SLAB_BYTES", slices * 17 * 19 * 2)
        slabs = [slab.copy() for slab in found.slabs_of(part)]
    assert np.array_equal(np.concatenate(slabs, axis=2), image[part])


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("slices", [1, 4, 50])
def test_samples_made_in_slabs_equal_those_of_whole_arrays(
    name: str, antialias: bool, slices: int, monkeypatch: pytest.MonkeyPatch
):
    image, affine = volume(), AFFINES[name]
    label = np.zeros(image.shape, np.uint8)
    label[6:10, 7:12, 8:13] = 1
    config = ShardConfig(
        anatomies=("liver",), antialias=antialias, margin_slices=1, margin_pixels=1
    )
    whole = prepare(image, label, affine, config)
    grid = locate(label, affine, config)
    assert whole is not None
    assert grid is not None
    monkeypatch.setattr(nifti_slabs, "SLAB_BYTES", slices * 17 * 19 * 2)
    slabs = open_nifti(label_map_bytes(image, affine)).slabs_of(grid.source_ijk)
    assert np.array_equal(sampled(slabs, label, grid, config).image_zyx, whole.image_zyx)


@pytest.mark.parametrize("place", ["inside", "checksum", "cut"])
def test_damage_anywhere_in_the_file_is_found_before_the_part_is_given_whole(place: str):
    content = bytearray(label_map_bytes(volume(), np.eye(4)))
    if place == "cut":
        del content[-12:]
    else:
        content[len(content) // 2 if place == "inside" else -8] ^= 0x10
    found = open_nifti(bytes(content))
    with pytest.raises(NiftiError, match="cannot be decoded"):
        list(found.slabs_of((slice(0, 17), slice(0, 19), slice(2, 5))))


def test_what_the_store_does_not_hold_is_refused():
    with pytest.raises(NiftiError, match="ends too early"):
        open_nifti(b"not an image")
    import nibabel as nib

    scaled = nib.Nifti1Image(volume(), np.eye(4))
    scaled.header.set_slope_inter(2.0, 1.0)
    content = bytearray(scaled.to_bytes())
    content[112:120] = np.array([2.0, 1.0], "<f4").tobytes()
    with pytest.raises(NiftiError, match=r"slope 2\.0"):
        open_nifti(bytes(content))
