"""Real CT: geometry and HU against SimpleITK, anatomy where the masks say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.data import get_testdata_file

from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.dicom.pixels import decode

if TYPE_CHECKING:
    from conftest import Ingested

LIVER = 5


def by_simpleitk(row: dict[str, Any], root: Path) -> SimpleITK.Image:
    """The same files in the same order, read by SimpleITK."""
    names = [str(root / path.partition("/")[2]) for path in row["source_files"]]
    return SimpleITK.ReadImage(names)


def test_the_jpeg_2000_series_equals_simpleitk(ingested: Ingested, real_data: Path):
    folder = real_data / "example_ct_dicom"
    ingested.dicom(folder)
    row = ingested.volume()
    assert row["shape"] == [512, 512, 20]
    assert row["spacing_mm"] == [0.9765625, 0.9765625, 2.0]  # SliceThickness says 3
    assert row["orientation"] == "LPS"
    assert (row["manufacturer"], row["kernel"]) == ("Siemens", "Br38f")
    reference = by_simpleitk(row, folder)
    np.testing.assert_array_equal(
        ingested.image(row).transpose(2, 1, 0), SimpleITK.GetArrayFromImage(reference)
    )
    affine = np.array(row["affine_ras"]).reshape(4, 4)
    for index in [(0, 0, 0), (511, 0, 0), (0, 511, 0), (300, 200, 19)]:
        lps = np.array(reference.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose((affine @ (*index, 1))[:3], lps * (-1, -1, 1), atol=1e-3)
    ingested.check_conserved()


def test_the_liver_of_the_real_series_has_the_density_of_a_liver(
    ingested: Ingested, real_data: Path
):
    ingested.dicom(real_data / "example_ct_dicom")
    row = ingested.volume()
    mask = nib.load(real_data / "example_seg_dicom.nii.gz")
    labels = np.asarray(mask.dataobj)
    ours = np.array(row["affine_ras"]).reshape(4, 4)
    voxels = np.argwhere(labels == LIVER)
    places = nib.affines.apply_affine(mask.affine, voxels)
    on_ours = np.rint(nib.affines.apply_affine(np.linalg.inv(ours), places)).astype(int)
    density = ingested.image(row)[tuple(on_ours.T)]
    assert 40 < np.median(density) < 160
    assert np.percentile(density, 5) > 0
    centre = nib.affines.apply_affine(ours, np.array(row["shape"]) / 2)
    assert places[:, 0].mean() > centre[0] + 30  # on the right


def test_a_missing_or_truncated_real_slice_is_refused(
    ingested: Ingested, real_data: Path, tmp_path: Path
):
    folder = tmp_path / "in"
    shutil.copytree(real_data / "example_ct_dicom", folder)
    paths = sorted(folder.iterdir())
    content = paths[7].read_bytes()
    paths[7].unlink()
    ingested.dicom(folder)
    assert ingested.reasons() == {"fault:missing_slices": 19}
    paths[7].write_bytes(content[:-8])  # only the delimiter behind a whole codestream
    ingested.dicom(folder)
    assert ingested.reasons() == {}
    without = ingested.volumes()[0]["content_sha256"]
    for cut in (9, 20, len(content) // 2):  # the decoder itself fills up what is cut off
        paths[7].write_bytes(content[:-cut])
        ingested.dicom(folder)
        assert ingested.reasons() == {"fault:truncated_pixels": 1, "fault:incomplete_series": 19}
    paths[7].write_bytes(content)
    ingested.dicom(folder)
    assert ingested.reasons() == {}
    assert [row["content_sha256"] for row in ingested.volumes()] == [without]


def test_the_real_nifti_files(ingested: Ingested, real_data: Path):
    ingested.run(SourceConfig(kind="nifti", path=real_data, name="examples"))
    found = {row["source_files"][0]: row for row in ingested.volumes()}
    assert {name: (row["orientation"], row["spacing_mm"]) for name, row in found.items()} == {
        "examples/example_ct.nii.gz": ("RAS", [3.0, 3.0, 3.0]),
        "examples/example_ct_sm.nii.gz": ("RAS", [3.0, 3.0, 3.0]),
        "examples/chest_1p5mm/ct.nii.gz": ("LPS", [1.5, 1.5, 1.5]),
        "examples/aorta_1p5mm/ct.nii.gz": ("LPS", [1.5, 1.5, 1.5]),
    }
    for name, row in found.items():
        original = nib.load(real_data / name.partition("/")[2])
        np.testing.assert_array_equal(ingested.image(row), np.asarray(original.dataobj))
        np.testing.assert_allclose(np.reshape(row["affine_ras"], (4, 4)), original.affine)
    assert ingested.reasons()["fault:values_not_hu"] == 6  # the masks
    ingested.check_conserved()


def test_the_files_that_pydicom_brings(ingested: Ingested):
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    ingested.dicom(folder)
    row = ingested.volume()
    assert row["shape"] == [16, 16, 5]
    assert row["spacing_mm"] == [0.488281, 0.488281, 2.5]
    reference = SimpleITK.GetArrayFromImage(by_simpleitk(row, folder))
    np.testing.assert_array_equal(ingested.image(row).transpose(2, 1, 0), reference)
    reasons = ingested.reasons()
    assert reasons["out_of_scope:localizer"] == 2
    assert reasons["out_of_scope:dicomdir"] == 8
    ingested.check_conserved()


def test_real_slices_with_a_gap_are_refused(ingested: Ingested):
    folder = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests" / "77654033"
    ingested.config = IngestConfig(min_slices=2)
    ingested.dicom(folder / "CT2")
    assert ingested.reasons() == {"fault:missing_slices": 4}


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
    ],
)
def test_every_encoding_decodes_to_the_same_values(name: str, plain: str):
    pixels, expected = (
        decode(pydicom.dcmread(get_testdata_file(file, download=False))) for file in (name, plain)
    )
    np.testing.assert_array_equal(pixels, expected)
