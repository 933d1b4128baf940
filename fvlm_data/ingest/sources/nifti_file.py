"""The voxels and the affine of a NIfTI file, or of a pair of header and voxels."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fvlm_data.ingest.checksum import file_checksum
from fvlm_data.ingest.discovery.archive import DAMAGE
from fvlm_data.ingest.discovery.opener import opened
from fvlm_data.ingest.sources.itk_files import ITK_ENDINGS, ending_of, load_itk
from fvlm_data.ingest.sources.pairs import (
    HEADER_ENDING,
    NIFTI_PAIR,
    analyze_affine,
    pair_image,
    voxels_beside,
)
from fvlm_data.ingest.volume.geometry import Fault, check_identity, prove_affine
from fvlm_data.ingest.volume.volume_file import (
    DEFLATE_MOST,
    check_claim,
    more_than_claimed,
    three_axes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.discovery.opener import FileLocation

MILLIMETRE = ("mm", "unknown")
SIZE_AGREES = 0.01
GZIP_MARK = b"\x1f\x8b"
MORE_BYTES = 1 << 20
NIFTI2_HEADER = 540
"""Size of a NIfTI-2 header, which its first four bytes state."""


def load(
    place: FileLocation, config: IngestConfig
) -> tuple[NDArray[Any], NDArray[np.float64] | Fault, str] | Fault:
    """Values (i, j, k) of a volume file, voxel to RAS+ mm or why it does not say, checksum.

    The format goes by the file's ending. Sizes are checked before memory is taken for voxels.
    """
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        with opened(place) as handle:
            checksum = file_checksum(handle)
            loaded = _load(handle, place, config)
    except (
        *(ImageFileError, HeaderDataError, WrapStructError, *DAMAGE),
        *(KeyError, OverflowError),  # units and sizes that a damaged header makes up
    ) as error:
        detail = f"the file cannot be read ({type(error).__name__}): damaged or truncated; resend"
        return Fault("unreadable_nifti", detail)
    if isinstance(loaded, Fault):
        return loaded
    values, affine = loaded
    shaped = three_axes(values, config)
    return shaped if isinstance(shaped, Fault) else (shaped, affine, checksum)


def _load(
    handle: BinaryIO, place: FileLocation, config: IngestConfig
) -> tuple[NDArray[Any], NDArray[np.float64] | Fault] | Fault:
    ending = ending_of(place)
    if ending in ITK_ENDINGS:
        return load_itk(handle, place, config)
    if ending == HEADER_ENDING:
        return _load_pair(handle, place, config)
    image = _image(handle)
    fault = _check_size(image, handle, config)
    if fault:
        return fault
    affine = _affine(image, config)
    values = np.asanyarray(image.dataobj)
    return _longer(image) or (values, affine)


def _longer(image: Any) -> Fault | None:
    """The fault of a file that goes on behind the voxels of its header."""
    stream = image.file_map["image"].fileobj
    end = int(image.dataobj.offset) + math.prod(image.header.get_data_shape()) * int(
        image.header.get_data_dtype().itemsize
    )
    stream.seek(end)
    more = len(stream.read(MORE_BYTES))
    return more_than_claimed(more) if more else None


def _load_pair(
    handle: BinaryIO, place: FileLocation, config: IngestConfig
) -> tuple[NDArray[Any], NDArray[np.float64] | Fault] | Fault:
    data = voxels_beside(place)
    if data is None:
        return Fault(
            "data_file_missing",
            "no .img of the header's name lies beside it (in an archive none can); put it there, "
            "or convert the volume to NIfTI",
        )
    with opened(data) as voxels:
        image = pair_image(handle, voxels)
        fault = _check_size(image, voxels, config)
        if fault:
            return fault
        handle.seek(0)
        is_nifti = handle.read(348)[344:] == NIFTI_PAIR
        affine = _affine(image, config) if is_nifti else analyze_affine(handle, image)
        return np.asanyarray(image.dataobj), affine


def _image(handle: BinaryIO) -> Any:
    """A NIfTI-1 or NIfTI-2 image of an open file, gzipped or not."""
    import nibabel as nib
    from isal import igzip

    start = handle.read(2)
    handle.seek(0)
    stream: Any = igzip.IGzipFile(fileobj=handle, mode="rb") if start == GZIP_MARK else handle
    size = stream.read(4)
    stream.seek(0)
    # the header's length tells the version: 348 bytes in NIfTI-1, 540 in NIfTI-2
    second = NIFTI2_HEADER in (int.from_bytes(size, order) for order in ("little", "big"))
    return (nib.Nifti2Image if second else nib.Nifti1Image).from_stream(stream)


def _check_size(image: Any, handle: BinaryIO, config: IngestConfig) -> Fault | None:
    header = image.header
    shape = header.get_data_shape()
    if min(shape, default=0) < 1:
        raise ValueError  # as a damaged header has it
    stored = header.get_data_dtype().itemsize or 1
    place = handle.tell()
    size = handle.seek(0, os.SEEK_END)
    handle.seek(0)
    packed = handle.read(2) == GZIP_MARK
    handle.seek(place)
    held = size * DEFLATE_MOST if packed else size - int(image.dataobj.offset)
    # values with a slope come as float64
    scaled = (image.dataobj.slope, image.dataobj.inter) != (1, 0)
    value = max(stored, 8) if scaled else stored
    return check_claim(shape, value, held * value // stored, config)


def _affine(image: Any, config: IngestConfig) -> NDArray[np.float64] | Fault:
    """Voxel to RAS+ mm, from sform, else qform; both must agree where both are set."""
    header = image.header
    if header.get_xyzt_units()[0] not in MILLIMETRE:
        return Fault("units_not_mm", "the header's unit of length is not mm, expected mm")
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    # the sform first, as most readers prefer it; `coded`: a form with code 0 is not set
    stated = [np.asarray(form, dtype=np.float64) for form in (sform, qform) if form is not None]
    if not stated:
        return Fault(
            "missing_orientation",
            "neither sform nor qform is set, expected one: where the voxels lie is not known",
        )
    fault = prove_affine(stated[0], config)
    if fault:
        return fault
    if len(stated) == 2:
        extent = np.array(header.get_data_shape()[:3])
        # forms that differ in rotation agree at the origin: the corners show it
        corners = np.array([(*(np.array(c) * extent), 1) for c in np.ndindex(2, 2, 2)])
        apart = float(np.abs(corners @ (stated[0] - stated[1]).T).max())
        allowed = max(0.5 * float(np.linalg.norm(stated[0][:3, :3], axis=0).min()), 0.1)
        if not apart <= allowed:
            return Fault(
                "qform_sform_disagree",
                f"sform and qform place a corner {apart:.2f} mm apart, expected at most "
                f"{allowed:.2f} mm; set both to the true one",
            )
    # an identity that was never set is told as that, whatever sizes stand beside it
    unset = check_identity(stated[0], config) is not None
    return (None if unset else _sizes_apart(header, stated[0])) or stated[0]


def _sizes_apart(header: Any, affine_ras: NDArray[np.float64]) -> Fault | None:
    """The fault of a header whose pixdim and affine give voxels two sizes; pixdim of 1 is unset."""
    told = np.abs(np.asarray(header["pixdim"][1:4], np.float64))
    lengths = np.linalg.norm(affine_ras[:3, :3], axis=0)
    unset = not np.isfinite(told).all() or not told.all() or (told == 1).all()
    if unset or np.abs(told / lengths - 1).max() <= SIZE_AGREES:
        return None
    return Fault(
        "spacing_disagrees",
        f"pixdim gives voxels of {' x '.join(f'{one:g}' for one in told)} mm, the affine of "
        f"{' x '.join(f'{one:g}' for one in lengths)} mm, expected one size (an "
        "old header, a new grid); write the file anew",
    )
