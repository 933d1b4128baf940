"""Checksum of a whole file, by which one that was only touched is told from one that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import google_crc32c
from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK_BYTES = 1 << 20


def checksum(blocks: Iterable[bytes]) -> str:
    """64 bits over all blocks, as 16 hexadecimal digits.

    Two cyclic checks of different polynomials (CRC-32C and CRC-32): together they miss a change
    with a chance of 2**-64, at a fraction of the cost of a cryptographic hash, whose strength
    against forgers nothing here needs.
    """
    castagnoli = ethernet = 0
    for block in blocks:
        castagnoli = google_crc32c.extend(castagnoli, block)
        ethernet = isal_zlib.crc32(block, ethernet)
    return f"{castagnoli:08x}{ethernet:08x}"


def file_checksum(handle: BinaryIO) -> str:
    """The checksum of an open file, which is left at its start."""
    handle.seek(0)
    found = checksum(iter(lambda: handle.read(BLOCK_BYTES), b""))
    handle.seek(0)
    return found
