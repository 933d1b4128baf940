"""Pixel data of one frame to stored values, whatever the transfer syntax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.dicom.codestream import check_codestream, damaged, truncated
from fvlm_data.ingest.dicom.entropy import ends_with_image
from fvlm_data.ingest.dicom.tags import integer, text
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.memory import lacks_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

PLUGIN = "pylibjpeg"
"""One decoder per syntax, so that lossy ones decode alike everywhere; most have ours."""

RLE = "1.2.840.10008.1.2.5"
HUFFMAN_CODED = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
"""JPEG baseline, extended and lossless."""

ITEM_HEADER_BYTES = 8
"""Tag and length of a fragment."""

BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = {
    # (implicit VR, little endian) of data sets without file meta information
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): BIG_ENDIAN,
}


def decode(dataset: Dataset, frame: int | None = None) -> NDArray[Any] | Fault:
    """Stored values (rows, columns) of one frame, counted from 0, unused bits as they are.

    Without `frame` the data set must hold a single one.
    """
    from pydicom.uid import UID

    syntax = UID(_transfer_syntax(dataset))
    if not syntax:
        return Fault(
            "no_transfer_syntax",
            "the header names no transfer syntax, expected one; export the file again",
        )
    data = dataset.get("PixelData")
    if not data:
        return truncated("pixel data break off before their end")
    # the usual case goes past pydicom, which would copy the values
    if not syntax.is_encapsulated and integer(dataset, "BitsAllocated", 0) == 16:
        return _native(dataset, data, frame or 0, big_endian=syntax == BIG_ENDIAN)
    fault = _check_frame(dataset, data, syntax, frame) if syntax.is_encapsulated else None
    return fault or _decoded(dataset, syntax, frame)


def decodes_without_gil(dataset: Dataset) -> bool:
    """Whether a second thread makes the decoding of several data sets faster."""
    from fvlm_data.ingest.dicom import decoders

    return decoders.is_available(_transfer_syntax(dataset))


def _native(dataset: Dataset, data: bytes, frame: int, *, big_endian: bool) -> NDArray[Any] | Fault:
    """Uncompressed 16-bit values without a copy."""
    rows, columns, samples = (
        integer(dataset, keyword, default)
        for keyword, default in (("Rows", 0), ("Columns", 0), ("SamplesPerPixel", 1))
    )
    signed = integer(dataset, "PixelRepresentation", 0) == 1
    count = rows * columns * samples
    stated = 2 * count * max(1, integer(dataset, "NumberOfFrames", 1))
    if count <= 0 or len(data) < stated:
        return truncated(f"{len(data)} bytes of pixel data, expected {stated}")
    kind = f"{'>' if big_endian else '<'}{'i' if signed else 'u'}2"
    values = np.frombuffer(data, kind, count, 2 * count * frame)
    native = values.astype(values.dtype.newbyteorder("=")) if big_endian else values
    return native.reshape(rows, columns) if samples == 1 else native.reshape(rows, columns, samples)


def _check_frame(dataset: Dataset, data: bytes, syntax: str, frame: int | None) -> Fault | None:
    """Refuse a compressed frame that claims another size than the header, or is not whole."""
    from pydicom.encaps import get_frame

    if syntax == RLE:  # its decoder counts the bytes of every segment
        return truncated("its last fragment breaks off") if _breaks_off(data) else None
    offsets, lengths = (
        dataset.get(name) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    )
    try:
        found = get_frame(
            data,
            frame or 0,
            number_of_frames=max(1, integer(dataset, "NumberOfFrames", 1)),
            extended_offsets=(offsets, lengths) if offsets and lengths else None,
        )
    except Exception as error:  # pydicom raises any type on damaged data
        if lacks_memory(error):
            raise MemoryError from error
        return truncated("the fragments of the pixel data break off, or cannot be told apart")
    fault = check_codestream(found, integer(dataset, "Rows", 0), integer(dataset, "Columns", 0))
    if fault or syntax not in HUFFMAN_CODED:
        return fault
    try:
        whole = ends_with_image(found.rstrip(b"\x00"))
    except Exception as error:  # the decoder has a type of its own
        if lacks_memory(error):
            raise MemoryError from error
        return _undecodable(error, syntax)
    return None if whole else damaged("its coded data do not end where the image does")


def _breaks_off(data: bytes) -> bool:
    """Whether encapsulated pixel data end before the last of their items does (PS3.5 A.4)."""
    at = 0
    while at + ITEM_HEADER_BYTES <= len(data):
        at += ITEM_HEADER_BYTES + int.from_bytes(data[at + 4 : at + 8], "little")
    return at > len(data)


def _decoded(dataset: Dataset, syntax: Any, frame: int | None) -> NDArray[Any] | Fault:
    import pydicom.pixels

    # raw: no conversion of colour spaces; unused bits stay, since `hounsfield` judges them
    options: dict[str, Any] = {"raw": True, "correct_unused_bits": False, "index": frame}
    if syntax.is_encapsulated:
        options["decoding_plugin"] = _plugin(syntax)
    try:
        dataset.file_meta.TransferSyntaxUID = syntax
        pixels: NDArray[Any] = pydicom.pixels.pixel_array(dataset, **options)
    except Exception as error:  # decoders raise any type on damaged data; it becomes a reject
        if lacks_memory(error):
            raise MemoryError from error
        if "less than expected" in str(error):
            return truncated("fewer pixel data than rows, columns and frames need")
        return _undecodable(error, syntax)
    return pixels


def _undecodable(error: Exception, syntax: str) -> Fault:
    return Fault(
        "undecodable_pixels",
        f"pixel data cannot be decoded ({type(error).__name__}, transfer syntax {_shown(syntax)}), "
        "expected an image; send the file again from the archive",
    )


def _shown(syntax: str) -> str:
    """A transfer syntax for a message; one that DICOM does not list may be anything."""
    from pydicom.uid import UID_dictionary

    return syntax if syntax in UID_dictionary else "not listed by DICOM"


def _plugin(syntax: str) -> str:
    from fvlm_data.ingest.dicom import decoders

    return decoders.NAME if decoders.is_available(syntax) else PLUGIN


def _transfer_syntax(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    stated = text(meta, "TransferSyntaxUID") if meta is not None else ""
    if stated:
        return stated
    if meta is None:
        from pydicom.dataset import FileMetaDataset

        dataset.file_meta = FileMetaDataset()
    return NATIVE.get(dataset.original_encoding, "")
