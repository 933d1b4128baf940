"""A small PNG encoder, so that pictures need no imaging library."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_bytes(image_rgb: np.ndarray[Any, Any]) -> bytes:
    """Encode uint8 (rows, columns, 3) as PNG (ISO/IEC 15948: 8-bit truecolour, filter none)."""
    rows, columns, _ = image_rgb.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    lines = np.concatenate(
        [np.zeros((rows, 1), np.uint8), image_rgb.reshape(rows, columns * 3)], axis=1
    )
    chunks: Sequence[tuple[bytes, bytes]] = (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    )
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def data_url(image_rgb: np.ndarray[Any, Any]) -> str:
    """The picture as a URL that holds it."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image_rgb)).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
