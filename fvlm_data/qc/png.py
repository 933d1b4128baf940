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

DESCRIPTION = b"Description\0"
"""The standard's keyword of such a text, and the byte that ends it."""


class PngError(ValueError):
    """The bytes are not a complete PNG file."""


def png_bytes(image_rgb: np.ndarray[Any, Any], description: str) -> bytes:
    """Encode uint8 (rows, columns, 3) as PNG (ISO/IEC 15948: 8-bit truecolour, filter none).

    `description` is ASCII text and lies in the file as its description.
    """
    rows, columns, _ = image_rgb.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    lines = np.concatenate(
        # each line begins with its filter type, 0: none
        [np.zeros((rows, 1), np.uint8), image_rgb.reshape(rows, columns * 3)],
        axis=1,
    )
    chunks: Sequence[tuple[bytes, bytes]] = (
        (b"IHDR", header),
        (b"tEXt", DESCRIPTION + description.encode("ascii")),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    )
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def description_of(content: bytes) -> str:
    """The description in a file made by `png_bytes`.

    Raises:
        PngError: the file is cut or changed.
    """
    if not content.startswith(SIGNATURE):
        raise PngError("no PNG signature")
    chunks: dict[bytes, bytes] = {}
    start = len(SIGNATURE)
    while start < len(content) and b"IEND" not in chunks:
        size = int.from_bytes(content[start : start + 4], "big")
        end = start + 12 + size
        kind, data = content[start + 4 : start + 8], content[start + 8 : end - 4]
        if content[start:end] != _chunk(kind, data):
            raise PngError("a chunk is cut or changed")
        chunks[kind] = data
        start = end
    text = chunks.get(b"tEXt", b"")
    if b"IEND" not in chunks or not text.startswith(DESCRIPTION):
        raise PngError("the file is cut or has no description")
    return text.removeprefix(DESCRIPTION).decode("ascii")


def data_url(content: bytes) -> str:
    """A PNG file as a URL that holds it."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
