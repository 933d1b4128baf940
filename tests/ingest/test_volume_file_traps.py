"""Volume files that state sizes, places or values twice, or hold what no CT fits into."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from series import Series

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.discovery.opener import FileLocation
from fvlm_data.ingest.source_files import SourceFile
from fvlm_data.ingest.sources.nifti import NIFTI
from fvlm_data.ingest.volume.description import Description

IMAGE = Series(slices=12, rows=32, columns=24).image_hu()
AFFINE = np.array([[-0.7, 0, 0, 50], [0, -0.8, 0, 60], [0, 0, 2.5, 100], [0, 0, 0, 1.0]])
QFORM, SFORM, SLOPE, PIXDIM, UNITS = 252, 254, 112, 80, 123
NAN, INF = float("nan"), float("inf")
Edits = tuple[tuple[Any, ...], ...]


def told(path: Path) -> Any:
    """The reason why a file is refused, else its voxels (k, j, i) and affine."""
    file = SourceFile("t", "", "s", path.name, FileLocation(path))
    found = NIFTI.read([file], "se_1", bytes(32), IngestConfig(), Description(), 1)
    if found.rejects:
        (reject,) = found.rejects
        assert len(reject.detail) > 20
        return reject.reason
    (volume,) = found.volumes
    return volume.image_zyx, volume.affine_ras


def nifti(folder: Path, values: Any, edits: Edits = (), *, behind: bytes = b"") -> Path:
    """A NIfTI file whose header is edited: place, format, values."""
    image = nib.Nifti1Image(values, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    content = bytearray(image.to_bytes())
    for place, form, *numbers in edits:
        struct.pack_into(form, content, place, *numbers)
    path = folder / "x.nii.gz"
    path.write_bytes(gzip.compress(bytes(content), 1) + behind)
    return path


HU = IMAGE.T
WRONG: dict[str, tuple[Any, Edits, str]] = {
    "neither form set": (HU, ((QFORM, "<hh", 0, 0),), "missing_orientation"),
    "slope NaN beside an intercept": (HU + 1024, ((SLOPE, "<ff", NAN, -1024.0),),
                                      "rescaling_forgotten"),
    "slope 0 beside an intercept": (HU + 1024, ((SLOPE, "<ff", 0.0, -1024.0),),
                                    "rescaling_forgotten"),
    "intercept NaN": (HU, ((SLOPE, "<ff", 1.0, NAN),), "unreadable_nifti"),
    "8 bits that went round": (HU.astype(np.int8), (), "values_not_hu"),
    "8 bits of a window": (np.clip((HU + 160) / 2, 0, 255).astype(np.uint8), (), "values_not_hu"),
    "negative values as unsigned": (HU.astype(np.uint16), (), "hu_out_of_range"),
    "1000 more": ((HU + 1000).clip(0), (), "rescaling_forgotten"),
    "between 0 and 1": (((HU + 1024) / 4096).astype(np.float32), (), "values_not_hu"),
    "a time axis": (np.stack([HU, HU], axis=-1), (), "not_a_volume"),
    "colours": (np.zeros(HU.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")]), (), "not_a_volume"),
    "complex": (HU.astype(np.complex64), (), "not_a_volume"),
    "NaN around the body": (np.where(HU < -900, NAN, HU).astype(np.float32), (), "not_finite"),
    "metres": (HU, ((UNITS, "<B", 1),), "units_not_mm"),
    "sizes of the old grid": (HU, ((QFORM, "<h", 0), (PIXDIM, "<fff", 1.4, 1.6, 2.5)),
                              "spacing_disagrees"),
    "sizes exchanged": (HU, ((QFORM, "<h", 0), (PIXDIM, "<fff", 2.5, 0.8, 0.7)),
                        "spacing_disagrees"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_nifti_file_that_cannot_be_believed(tmp_path: Path, name: str):
    values, edits, reason = WRONG[name]
    assert told(nifti(tmp_path, values, edits)) == reason


RIGHT: dict[str, tuple[Any, Edits]] = {
    "sform alone": (HU, ((QFORM, "<h", 0),)),
    "qform alone": (HU, ((SFORM, "<h", 0),)),
    "sizes of 1, which is unset": (HU, ((QFORM, "<h", 0), (PIXDIM, "<fff", 1, 1, 1))),
    "no slope: NaN": (HU, ((SLOPE, "<ff", NAN, NAN),)),
    "no slope: infinite": (HU, ((SLOPE, "<ff", INF, 0.0),)),
    "one time": (HU[..., None], ()),
    "float": (HU + np.float32(0.3), ()),
    "no unit": (HU, ((UNITS, "<B", 0),)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_nifti_file_that_is_right(tmp_path: Path, name: str):
    values, edits = RIGHT[name]
    image, affine = told(nifti(tmp_path, values, edits))
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_allclose(affine, AFFINE, atol=1e-4)


@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        (b"rubbish" * 99, "unreadable_nifti"),
        (gzip.compress(b"x" * 99), "wrong_image_size"),
        (bytes(512), ""),
    ],
    ids=["rubbish", "another member", "zeros"],
)
def test_what_follows_a_gzip_file(tmp_path: Path, behind: bytes, reason: str):
    found = told(nifti(tmp_path, HU, behind=behind))
    assert found == reason if reason else len(found) == 2


def itk(folder: Path, ending: str, before: bytes, after: bytes) -> Path:
    """A file of SimpleITK of which a piece of the header is replaced."""
    image = SimpleITK.GetImageFromArray(IMAGE)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-50, -60, 100))
    path = folder / f"x{ending}"
    SimpleITK.WriteImage(image, str(path))
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))
    return path


UPRIGHT = b"TransformMatrix = 1 0 0 0 1 0 0 0 1"


@pytest.mark.parametrize(
    ("ending", "before", "after", "reason"),
    [
        (".mha", UPRIGHT, b"TransformMatrix = 2 0 0 0 2 0 0 0 2", "not_orthonormal"),
        (".mha", UPRIGHT, b"TransformMatrix = 1 0 0 0.6 0.8 0 0 0 1", "sheared_affine"),
        (".mha", b"Offset = -50 -60 100\n", b"", "missing_orientation"),
        (".mha", b"ElementSpacing = ", b"ElementSpacing = -", "implausible_spacing"),
        (".mha", b"ElementType", b"ElementToIntensityFunctionSlope = 2\nElementType",
         "ambiguous_rescale"),
        (".mha", b"MET_SHORT", b"MET_USHORT", "hu_out_of_range"),
        (".nrrd", b"space origin: (-50,-60,100)\n", b"", "missing_orientation"),
        (".nrrd", b"left-posterior-superior", b"scanner-xyz", "missing_orientation"),
        (".nrrd", b"endian", b'space units: "um" "um" "um"\nendian', "units_not_mm"),
    ],
    ids=lambda value: value.decode(errors="replace")[:30] if isinstance(value, bytes) else value,
)  # fmt: skip
def test_a_file_of_itk_that_says_things_twice_or_not_at_all(
    tmp_path: Path, ending: str, before: bytes, after: bytes, reason: str
):
    assert told(itk(tmp_path, ending, before, after)) == reason


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_a_file_of_itk_that_is_right(tmp_path: Path, ending: str):
    image, affine = told(itk(tmp_path, ending, b"\n", b"\n"))
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_allclose(affine, AFFINE, atol=1e-4)
