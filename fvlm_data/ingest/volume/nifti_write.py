"""Volumes as int16 NIfTI files whose bytes depend on nothing but their content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 2
"""isal level: on real CT 2 % smaller than level 1 in 6 % more time; level 3 gains nothing."""

GZIP_WINDOW_BITS = 31
"""zlib's largest window, 15, plus 16: gzip's header and trailer instead of zlib's."""

SCANNER_ANATOMICAL = 1
"""NIFTI_XFORM_SCANNER_ANAT: the affine leads to the scanner's coordinates."""

NO_EXTENSION = b"\x00\x00\x00\x00"
"""The four bytes that NIfTI-1 requires after its header; all 0: no extension follows."""


def volume_path(volume_id: str) -> str:
    """Where a volume lies in the store: `volumes/<xx>/<volume_id>.nii.gz`."""
    digits = volume_id.partition("_")[2]
    return f"volumes/{digits[:2]}/{volume_id}.nii.gz"


def nifti_bytes(image_zyx: NDArray[np.int16], affine_ras: NDArray[np.float64]) -> bytes:
    """A gzipped NIfTI-1 file of an int16 HU image.

    `image_zyx` has axes (k, j, i), the file's voxel axes are (i, j, k); `affine_ras` (4 x 4,
    voxel to RAS+ mm) is both sform and qform, with code 1. The gzip header holds neither time nor
    file name, the NIfTI header no text.
    """
    from isal import isal_zlib

    packer = isal_zlib.compressobj(LEVEL, wbits=GZIP_WINDOW_BITS)
    voxels = np.ascontiguousarray(image_zyx, dtype="<i2")
    parts = (
        packer.compress(_header(image_zyx.shape, affine_ras) + NO_EXTENSION),
        packer.compress(voxels.data),
        packer.flush(),
    )
    return b"".join(parts)


def _header(shape_zyx: tuple[int, ...], affine_ras: NDArray[np.float64]) -> bytes:
    from nibabel.nifti1 import Nifti1Header

    header = Nifti1Header(endianness="<")
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape_zyx[::-1])
    header.set_zooms(np.linalg.norm(affine_ras[:3, :3], axis=0))
    header.set_sform(affine_ras, SCANNER_ANATOMICAL)
    # a qform is a rotation; rounding of the directions would count as shear without this
    header.set_qform(affine_ras, SCANNER_ANATOMICAL, strip_shears=True)
    header.set_xyzt_units("mm", "sec")
    header.set_slope_inter(1, 0)
    # 348 bytes of header and 4 of extension flag
    header["vox_offset"] = 352
    block: bytes = header.binaryblock
    return block
