"""Copies of a scan under another origin, position or storage order have one hash of pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import Ingested
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from series import Series, write

from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.volume.pixel_hash import pixels_sha256

Image = NDArray[np.int16]

# few values and short axes: many images are symmetric, constant or turned copies of each other
small = arrays.arrays(
    np.int16,
    st.tuples(*[st.integers(1, 3)] * 3),
    elements=st.sampled_from([-1024, 0, 1]),
)


def turned(image: Image) -> Iterator[Image]:
    """An image in all 48 orders and directions of its axes."""
    for order in permutations(range(3)):
        for steps in product((1, -1), repeat=3):
            yield image.transpose(order)[tuple(slice(None, None, step) for step in steps)]


@given(small)
def test_turned_copies_have_one_hash(image: Image):
    assert len({pixels_sha256(one) for one in turned(image)}) == 1


@given(small, small)
def test_images_that_are_no_turned_copies_differ(one: Image, other: Image):
    equal = any(np.array_equal(one, view) for view in turned(other))
    assert (pixels_sha256(one) == pixels_sha256(other)) == equal


@pytest.mark.parametrize("shape", [(3, 5, 4), (9, 4, 4), (4, 4, 4)])
def test_one_voxel_makes_another_image(shape: tuple[int, int, int]):
    image = np.full(shape, -1024, np.int16)
    other = image.copy()
    other[0, 0, 0] = -1023
    assert pixels_sha256(image) != pixels_sha256(other)
    assert pixels_sha256(image) != pixels_sha256(image[1:])  # nearly all air, one slice more


def test_layout_in_memory_plays_no_part():
    image = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7), dtype=np.int16)
    for other in (np.asfortranarray(image), image.astype(">i2"), np.repeat(image, 2, 2)[..., ::2]):
        assert pixels_sha256(other) == pixels_sha256(image)


def test_hash_is_pinned():
    """Stored hashes must agree with those of later versions."""
    image = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    pinned = "988e0fc09a55992097408bd49bc33f908fcd9b97bd47632632746417f33c033c"
    assert pixels_sha256(image) == pinned


COPIED = Series(patient_id="PAT-0043", study_uid="1.2.9", series_uid="1.2.9.1")


@pytest.mark.parametrize(
    "copy",
    [
        dataclasses.replace(COPIED, origin_mm=(1.0, 2.0, 3.0)),
        dataclasses.replace(COPIED, orientation=(-1.0, 0, 0, 0, 1.0, 0)),  # head first, feet first
        dataclasses.replace(COPIED, orientation=(0, 1.0, 0, 0, 0, -1.0)),
        dataclasses.replace(COPIED, step_mm=5.0, pixel_spacing_mm=(1.0, 1.0)),
    ],
)
def test_dicom_copy_of_another_patient_has_the_pixels_of_the_first(
    ingested: Ingested, tmp_path: Path, copy: Series
):
    write(Series().datasets(), tmp_path / "in" / "a")
    write(copy.datasets(), tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    one, other = ingested.volumes()
    assert one["patient_id"] != other["patient_id"]
    assert one["content_sha256"] != other["content_sha256"]
    assert one["pixels_sha256"] == other["pixels_sha256"]


def test_nifti_in_another_storage_order_has_the_pixels_of_the_dicom(
    ingested: Ingested, tmp_path: Path
):
    write(Series().datasets(), tmp_path / "dicom")
    ingested.dicom(tmp_path / "dicom")
    row = ingested.volume()
    image = nib.load(ingested.context.store.location(row["path"]))
    (tmp_path / "nifti").mkdir()
    for axes in ("RAS", "PSL"):
        wanted = nib.orientations.ornt_transform(
            nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(axes)
        )
        nib.save(image.as_reoriented(wanted), tmp_path / "nifti" / f"{axes}.nii.gz")
    ingested.run(SourceConfig(kind="nifti", path=tmp_path / "nifti", name="copies"))
    volumes = ingested.volumes()
    assert len({one["content_sha256"] for one in volumes}) == 3
    assert {one["pixels_sha256"] for one in volumes} == {row["pixels_sha256"]}


def test_two_scans_alike_in_all_but_noise_differ(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "in" / "a")
    write(dataclasses.replace(COPIED, seed=2).datasets(), tmp_path / "in" / "b")
    ingested.dicom(tmp_path / "in")
    one, other = ingested.volumes()
    assert one["pixels_sha256"] != other["pixels_sha256"]
