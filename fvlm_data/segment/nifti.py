"""Label maps and volumes as NIfTI bytes; names of classes embedded in them."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

GZIP_LEVEL = 3
MAX_EMBEDDED_BYTES = 1_000_000


class NiftiError(ValueError):
    """The bytes are no NIfTI image of three axes."""


@dataclass(frozen=True, slots=True)
class NiftiImage:
    """`data` as stored values after scaling (i, j, k), `affine_ras`, embedded class names."""

    data: np.ndarray[Any, Any]
    affine_ras: np.ndarray[Any, Any]
    embedded_classes: Mapping[int, str]


def read_nifti(content: bytes) -> NiftiImage:
    """Decode a NIfTI file, plain or gzip.

    Raises:
        NiftiError: the content is damaged or no single-file NIfTI image of three axes (more
            axes of size 1 are dropped).
    """
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        raw = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        # NIfTI-2 has its magic right after the header's length, NIfTI-1 at byte 344
        is_second = raw[4:7] == b"n+2"
        image = (nib.Nifti2Image if is_second else nib.Nifti1Image).from_bytes(raw)
        data = np.asanyarray(image.dataobj)
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        ImageFileError,
        HeaderDataError,
        WrapStructError,
    ) as error:
        raise NiftiError(f"cannot be decoded as NIfTI ({type(error).__name__})") from error
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise NiftiError(f"has {data.ndim} axes, expected 3")
    return NiftiImage(data, np.asarray(image.affine, float), _embedded(image.header.extensions))


def label_map_bytes(labels: np.ndarray[Any, Any], affine_ras: np.ndarray[Any, Any]) -> bytes:
    """A label map (i, j, k) as gzipped NIfTI-1, the same bytes for the same content."""
    import nibabel as nib
    from isal import igzip

    image = nib.Nifti1Image(labels, affine_ras)
    image.header.set_xyzt_units("mm", "sec")
    buffer = io.BytesIO()
    image.to_file_map({"image": nib.FileHolder(fileobj=buffer)})
    # the time would make equal label maps differ
    return bytes(igzip.compress(buffer.getvalue(), GZIP_LEVEL, mtime=0))


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
