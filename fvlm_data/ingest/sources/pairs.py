"""Volumes in two files of one name: `.hdr` with the header, `.img` with the voxels.

Analyze 7.5 and NIfTI pairs share these endings; `ni1` at byte 344 of the header marks a NIfTI.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fvlm_data.ingest.discovery.opener import beside
from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fvlm_data.ingest.discovery.opener import FileLocation

HEADER_ENDING, DATA_ENDING = ".hdr", ".img"
NIFTI_PAIR = b"ni1\x00"
ORIENT_PLACE, TRANSVERSE = 252, 0
"""Byte of Analyze 7.5 that names the plane of the slices; 0: transverse unflipped, that is with
axes to the left, the front and the head (Mayo Clinic, Analyze 7.5 file format)."""


DATA_ENDINGS = (DATA_ENDING, DATA_ENDING.upper())


def voxels_beside(place: FileLocation) -> FileLocation | None:
    """The file of voxels beside a header in a folder or bucket."""
    stem = PurePosixPath(place.name).stem
    return next(filter(None, (beside(place, f"{stem}{one}") for one in DATA_ENDINGS)), None)


def header_beside(place: FileLocation) -> bool:
    """Whether a header lies beside a file of voxels."""
    stem = PurePosixPath(place.name).stem
    return any(beside(place, f"{stem}{one}") for one in (HEADER_ENDING, HEADER_ENDING.upper()))


def pair_image(header: BinaryIO, voxels: BinaryIO) -> Any:
    """The nibabel image of two open files, its voxels not yet read."""
    import nibabel as nib
    from nibabel.fileholders import FileHolder

    header.seek(0)
    start = header.read(348)
    header.seek(0)
    kind = nib.Nifti1Pair if start[344:348] == NIFTI_PAIR else nib.AnalyzeImage
    files = {"header": FileHolder(fileobj=header), "image": FileHolder(fileobj=voxels)}
    return kind.from_file_map(files)


def analyze_affine(header: BinaryIO, image: Any) -> NDArray[np.float64] | Fault:
    """Voxel to RAS+ mm of an Analyze 7.5 pair, its origin in the middle of the volume.

    The format states the plane of the slices and no more: only the transverse one is taken.
    """
    header.seek(ORIENT_PLACE)
    orient = header.read(1)
    if orient != bytes((TRANSVERSE,)):
        return Fault(
            "missing_orientation",
            f"the Analyze header's orient is {orient[0] if orient else 'missing'}, expected 0 "
            "(transverse unflipped): how its axes lie is not told reliably; convert it to NIfTI",
        )
    zooms = np.array(image.header.get_zooms()[:3], dtype=np.float64)
    affine = np.diag([-zooms[0], zooms[1], zooms[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(image.shape[:3]) - 1) / 2)
    return affine
