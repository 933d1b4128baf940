"""Pixel data of one frame to stored values, whatever the transfer syntax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.dicom.tags import integer, text
from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

PLUGIN = "pylibjpeg"
"""One decoder per syntax, so that lossy ones decode alike everywhere; JPEG 2000 has its own."""

RLE_PLUGIN = "pydicom"
"""pylibjpeg's RLE decoder is Rust and panics on damaged data, past `except Exception`."""

RLE = "1.2.840.10008.1.2.5"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = {
    # (implicit VR, little endian) of data sets without file meta information
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): BIG_ENDIAN,
}
END_OF_IMAGE = b"\xff\xd9"
"""The last marker of JPEG (EOI), JPEG-LS and JPEG 2000 (EOC) alike."""

SEQUENCE_DELIMITER = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
"""(FFFE,E0DD), length 0: ends the fragments of encapsulated pixel data (DICOM PS3.5 A.4)."""


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
    if not data or (syntax.is_compressed and not _ends_well(data, syntax)):
        return _truncated("pixel data break off before their end")
    # the usual case goes past pydicom, which would copy the values
    if not syntax.is_encapsulated and integer(dataset, "BitsAllocated", 0) == 16:
        return _native(dataset, data, frame or 0, big_endian=syntax == BIG_ENDIAN)
    return _decoded(dataset, syntax, frame)


def decodes_without_gil(dataset: Dataset) -> bool:
    """Whether a second thread makes the decoding of several data sets faster."""
    from fvlm_data.ingest.dicom import jpeg2000

    return jpeg2000.is_available(_transfer_syntax(dataset))


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
        return _truncated(f"{len(data)} bytes of pixel data, expected {stated}")
    kind = f"{'>' if big_endian else '<'}{'i' if signed else 'u'}2"
    values = np.frombuffer(data, kind, count, 2 * count * frame)
    native = values.astype(values.dtype.newbyteorder("=")) if big_endian else values
    return native.reshape(rows, columns) if samples == 1 else native.reshape(rows, columns, samples)


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
        if "less than expected" in str(error):
            return _truncated("fewer pixel data than rows, columns and frames need")
        return Fault(
            "undecodable_pixels",
            f"pixel data cannot be decoded ({type(error).__name__}, transfer syntax {syntax}), "
            "expected an image; send the file again from the archive",
        )
    return pixels


def _plugin(syntax: str) -> str:
    from fvlm_data.ingest.dicom import jpeg2000

    if jpeg2000.is_available(syntax):
        return jpeg2000.NAME
    return RLE_PLUGIN if syntax == RLE else PLUGIN


def _truncated(found: str) -> Fault:
    return Fault("truncated_pixels", f"{found}; send the file again from the archive")


def _transfer_syntax(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    stated = text(meta, "TransferSyntaxUID") if meta is not None else ""
    if stated:
        return stated
    if meta is None:
        from pydicom.dataset import FileMetaDataset

        dataset.file_meta = FileMetaDataset()
    return NATIVE.get(dataset.original_encoding, "")


def _ends_well(data: bytes, syntax: str) -> bool:
    """Whether the compressed image has its end marker; decoders make up what is missing."""
    if syntax == RLE:
        return True  # its decoder counts the bytes of every segment
    # fragments are padded to even length with a NUL (PS3.5 A.4)
    whole = data[-64:].removesuffix(SEQUENCE_DELIMITER).rstrip(b"\x00")
    return whole.endswith(END_OF_IMAGE)
