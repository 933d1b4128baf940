"""Label maps and volumes as NIfTI bytes; names of classes embedded in them."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from fvlm_data.memory import lacks_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

GZIP_LEVEL = 1
MAX_EMBEDDED_BYTES = 1_000_000
HEAD_BYTES = 544
"""Header of NIfTI-2, the longer one, with the four bytes that tell of extensions."""

VOXELS_AT = 352
"""Where voxels begin in a NIfTI-1 file without extensions."""

SLICES = 16
PIECE = 1_048_576
LEAST_PIECE = 4096
DEFLATE_RATIO = 1032
"""No deflated stream grows by more."""


class NiftiError(ValueError):
    """The bytes are no NIfTI image of three axes."""


@dataclass(frozen=True, slots=True)
class NiftiImage:
    """`stored` values (i, j, k) as they lie in the file, `affine_ras`, embedded class names.

    A value is stored * `slope` + `intercept`. `forms_apart` is how far sform and qform, where both
    are set, place a corner from each other, in voxels; `placed`: one of them is set.
    """

    stored: np.ndarray[Any, Any]
    affine_ras: np.ndarray[Any, Any]
    embedded_classes: Mapping[int, str]
    slope: float = 1.0
    intercept: float = 0.0
    forms_apart: float = 0.0
    placed: bool = True

    @property
    def scaled(self) -> bool:
        """Whether values differ from those stored."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def data(self) -> np.ndarray[Any, Any]:
        """The values: as stored where nothing is scaled, else float64."""
        return self.stored * self.slope + self.intercept if self.scaled else self.stored


def read_nifti(content: bytes) -> NiftiImage:
    """Decode a NIfTI file, plain or gzip.

    No memory is taken that the content could not fill.

    Raises:
        NiftiError: the content is damaged or no single-file NIfTI image of three axes (more
            axes of size 1 are dropped).
    """
    import nibabel as nib
    from isal import isal_zlib
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    unreadable: Any = (
        OSError,
        EOFError,
        ValueError,
        isal_zlib.error,
        HeaderDataError,
        WrapStructError,
    )
    zipped = content[:2] == b"\x1f\x8b"
    try:
        head = _unzipped_head(content) if zipped else content[:HEAD_BYTES]
        # NIfTI-2 has its magic right after the header's length, NIfTI-1 at byte 344
        kind = nib.Nifti2Header if head[4:7] == b"n+2" else nib.Nifti1Header
        claims = kind(head[: kind.sizeof_hdr], check=False)
        start = int(claims["vox_offset"])
        size = _claimed_bytes(claims, start)
        _refuse_unfillable(size, len(content), zipped)
        raw = _unzipped(content, size) if zipped else np.frombuffer(content, np.uint8)
        header = kind.from_fileobj(io.BytesIO(raw[:start].tobytes()), check=False)
        shape, dtype = header.get_data_shape(), header.get_data_dtype()
        stored = np.frombuffer(raw, dtype, int(np.prod(shape, dtype=np.int64)), start)
        stored = stored.reshape(shape, order="F")
        slope, intercept = header.get_slope_inter()
    except unreadable as error:
        if isinstance(error, NiftiError):
            raise
        if lacks_memory(error):
            raise MemoryError from error
        raise NiftiError(f"cannot be decoded as NIfTI ({type(error).__name__})") from error
    while stored.ndim > 3 and stored.shape[-1] == 1:
        stored = stored[..., 0]
    if stored.ndim != 3:
        raise NiftiError(f"has {stored.ndim} axes, expected 3")
    affine = np.asarray(header.get_best_affine(), float)
    scale = (1.0 if slope is None else float(slope), float(intercept or 0.0))
    apart = _forms_apart(header, stored.shape)
    placed = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    return NiftiImage(stored, affine, _embedded(header.extensions), *scale, apart, placed)


def label_map_bytes(labels: np.ndarray[Any, Any], affine_ras: np.ndarray[Any, Any]) -> bytes:
    """A label map (i, j, k) as gzipped NIfTI-1, the same bytes for the same content."""
    import nibabel as nib
    from isal import isal_zlib

    header = nib.Nifti1Header()
    header.set_data_dtype(labels.dtype.newbyteorder("<"))
    header.set_data_shape(labels.shape)
    # as nibabel's image would write it: form "aligned", no scaling
    header.set_sform(affine_ras, code="aligned")
    header.set_qform(affine_ras, code="unknown")
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = VOXELS_AT
    header["magic"] = b"n+1"
    # 31: with gzip's head, whose time stays 0: a time would make equal label maps differ
    zipper = isal_zlib.compressobj(GZIP_LEVEL, wbits=31)
    parts = [zipper.compress(header.binaryblock.ljust(VOXELS_AT, b"\0"))]
    order = labels.dtype.newbyteorder("<")
    for first in range(0, labels.shape[2], SLICES):
        slab = labels[:, :, first : first + SLICES].T
        parts.append(zipper.compress(np.ascontiguousarray(slab, order)))
    return b"".join([*parts, zipper.flush()])


def _forms_apart(header: Any, shape: tuple[int, ...]) -> float:
    """Greatest distance of a corner by sform and by qform, in voxels; 0 unless both are set."""
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    if sform is None or qform is None:
        return 0.0
    # forms that differ in rotation agree at the origin: the corners show it
    corners = np.array([(*(np.array(one) * shape), 1) for one in np.ndindex(2, 2, 2)])
    apart = np.linalg.norm((corners @ (np.asarray(sform) - qform).T)[:, :3], axis=1).max()
    return float(apart / np.linalg.norm(np.asarray(sform)[:3, :3], axis=0).min())


def _unzipped_head(content: bytes) -> bytes:
    from isal import isal_zlib

    head: bytes = isal_zlib.decompressobj(wbits=31).decompress(content[:PIECE], HEAD_BYTES)
    return head


def _claimed_bytes(header: Any, start: int) -> int:
    axes, voxels = int(header["dim"][0]), 1
    for size in header["dim"][1 : 1 + axes]:
        voxels *= int(size)
    magic = bytes(header["magic"].tobytes())[:3]
    if (
        magic not in (b"n+1", b"n+2")
        or not 0 < axes < 8
        or voxels <= 0
        or start < header.sizeof_hdr
    ):
        raise NiftiError("has not the header of a single NIfTI file with voxels")
    return start + voxels * int(header.get_data_dtype().itemsize)


def _refuse_unfillable(claimed: int, content: int, zipped: bool) -> None:
    most = content * DEFLATE_RATIO if zipped else content
    if claimed > most:
        raise NiftiError(f"claims {claimed:,} bytes of voxels and holds {content:,} bytes")


def _unzipped(content: bytes, size: int) -> np.ndarray[Any, Any]:
    """The first `size` bytes of a gzip file, whose checksum is tested; what follows is dropped."""
    from isal import isal_zlib

    raw = np.empty(size, np.uint8)
    # pieces that grow to about as much each: a small buffer is used again and again
    piece = min(max(PIECE * len(content) // size, LEAST_PIECE), PIECE)
    rest, at = memoryview(content), 0
    while at < size and rest.nbytes:
        unzip = isal_zlib.decompressobj(wbits=31)  # one a member of the file
        while rest.nbytes and not unzip.eof:
            made = np.frombuffer(unzip.decompress(rest[:piece]), np.uint8)
            rest = rest[piece:]
            raw[at : at + made.size] = made[: max(size - at, 0)]
            at += made.size
        if not unzip.eof:
            raise EOFError
        rest = memoryview(content)[len(content) - rest.nbytes - len(unzip.unused_data) :]
    if at < size:
        raise EOFError
    return raw


def _embedded(extensions: Any) -> dict[int, str]:
    """Class names from the XML label table that TotalSegmentator writes (Caret's LabelTable)."""
    for extension in extensions:
        content = extension.get_content()
        content = content if isinstance(content, bytes) else str(content).encode()
        if b"LabelTable" in content and len(content) <= MAX_EMBEDDED_BYTES:
            return _label_table(content)
    return {}


def _label_table(content: bytes) -> dict[int, str]:
    text = content.rstrip(b"\x00 \n")
    # entities in a foreign file could expand without bound
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        return {}
    try:
        root = ET.fromstring(text)
    except ET.ParseError:
        return {}
    names: dict[int, str] = {}
    for label in root.iter("Label"):
        key, name = label.get("Key", ""), (label.text or "").strip()
        if re.fullmatch(r"\d{1,5}", key) and name and int(key) > 0:
            names[int(key)] = name
    return names
