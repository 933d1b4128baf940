"""A whole DICOM file into memory, never more of it than it may take."""

from __future__ import annotations

import os
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from fvlm_data.ingest.checksum import checksum
from fvlm_data.ingest.dicom.tags import text
from fvlm_data.ingest.discovery.opener import TooLargeError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax whose data set is one stream of Deflate (DICOM PS3.5 A.5)."""

LOOK_BYTES = 4096
"""File meta information, which names the transfer syntax, takes a few hundred bytes."""

PREAMBLE_BYTES = 132
LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT"})
"""VRs with 2 reserved bytes and a length of 4 bytes behind them (PS3.5 7.1.2)."""

DEFLATE_RATIO = 20
DEFLATE_FREE_BYTES = 256 << 20
"""CT shrinks to a third by Deflate, an empty slice to a hundredth. What unpacks to more than 20
times its size and 256 MiB more is a bomb, or no file to be read at once."""

BLOCK_BYTES = 1 << 20

SEQUENCE_DELIMITER = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
"""(FFFE,E0DD), length 0: ends the fragments of encapsulated pixel data (PS3.5 A.4)."""


def read_dataset(handle: BinaryIO, most_bytes: int) -> tuple[Dataset, str]:
    """The data set of an open DICOM file, and the checksum of the file.

    Raises:
        TooLargeError: the file is larger than `most_bytes`, or unpacks to too much.
        Exception: the file is damaged; pydicom raises any type.
    """
    import pydicom

    if handle.seek(0, os.SEEK_END) > most_bytes or unpacks_to_too_much(handle):
        raise TooLargeError
    handle.seek(0)
    # at once: parsing in memory is as fast as through the file, and elements that claim 4 GiB get
    # what there is
    content = handle.read()
    buffer = BytesIO(content)
    dataset = pydicom.dcmread(buffer, force=True)
    if "PixelData" not in dataset and _is_encapsulated(dataset):
        # some writers leave the delimiter out; whether the frames are whole is checked one by one
        buffer = BytesIO(content + SEQUENCE_DELIMITER)
        dataset = pydicom.dcmread(buffer, force=True)
    # the file is cut off within its pixels, and other elements may be lost with them: it is read
    # again, up to the pixels only
    if "PixelData" not in dataset:
        buffer.seek(0)
        dataset = pydicom.dcmread(buffer, force=True, stop_before_pixels=True)
    dataset.buffer = None  # else the file stays in memory beside its elements
    return dataset, checksum([content])


def _is_encapsulated(dataset: Dataset) -> bool:
    from pydicom.uid import UID

    meta = getattr(dataset, "file_meta", None)
    syntax = UID(text(meta, "TransferSyntaxUID") if meta is not None else "")
    return bool(syntax) and syntax.is_transfer_syntax and syntax.is_encapsulated


def unpacks_to_too_much(handle: BinaryIO) -> bool:
    """Whether the data set of an open file is deflated and would unpack to far too much.

    Unpacked by blocks that are thrown away; files of other transfer syntaxes cost one look.
    """
    handle.seek(0)
    start = handle.read(LOOK_BYTES)
    if DEFLATED not in start:
        return False
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = 0
    allowed = DEFLATE_FREE_BYTES + DEFLATE_RATIO * handle.seek(0, os.SEEK_END)
    handle.seek(_meta_end(start))
    packed = b""
    try:
        while packed := packed or handle.read(BLOCK_BYTES):
            unpacked += len(unpacker.decompress(packed, BLOCK_BYTES))
            packed = unpacker.unconsumed_tail
            if unpacked > allowed:
                return True
    except zlib.error:  # damaged: no more comes out of it
        return False
    return False


def _meta_end(start: bytes) -> int:
    """Where the file meta information ends: behind the last element of group 0002 (PS3.10 7.1)."""
    at = PREAMBLE_BYTES if start[128:132] == b"DICM" else 0
    while start[at : at + 2] == b"\x02\x00":
        if start[at + 4 : at + 6] in LONG_VRS:
            at += 12 + int.from_bytes(start[at + 8 : at + 12], "little")
        else:
            at += 8 + int.from_bytes(start[at + 6 : at + 8], "little")
    return at
