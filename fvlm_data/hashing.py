"""Hashes of contents, from which item keys and content columns are made."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

HASHED_ROWS = 64
HASHED_LINES = 4
HASHED_WORDS = 4


def content_key(*parts: Any) -> str:
    """SHA-256 over the canonical JSON of `parts` (mappings sorted, sets refused)."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def array_sha256(*arrays: np.ndarray[Any, Any]) -> str:
    """SHA-256 over dtype, shape and values of arrays, whatever their memory layout.

    Values are hashed in little-endian C order, so that a big-endian or Fortran-ordered array of
    the same content has the same hash.
    """
    import numpy as np

    digest = hashlib.sha256()
    for array in arrays:
        little = array.dtype.newbyteorder("<")
        digest.update(f"{little.str}{array.shape}".encode())
        if array.flags.c_contiguous or array.ndim != 3:
            digest.update(np.ascontiguousarray(array, little).data)
        else:
            for part in _in_c_order(array, little):
                digest.update(part.data)
    return digest.hexdigest()


def _in_c_order(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> Iterator[Any]:
    """The array (3 axes) in C order, in pieces, each valid until the next.

    Pieces stay within the processor's cache: faster than one copy of the whole, and without its
    memory.
    """
    import numpy as np

    if array.itemsize == 1 and array.strides[0] in (1, -1) and array.shape[0] % 8 == 0:
        yield from _bytes_in_c_order(array)
        return
    first, second, third = array.shape
    room = np.empty((min(HASHED_ROWS, first), second, third), dtype)
    for start in range(0, first, HASHED_ROWS):
        part = room[: min(HASHED_ROWS, first - start)]
        for row in range(0, second, HASHED_LINES):
            lines = slice(row, row + HASHED_LINES)
            part[:, lines] = array[start : start + HASHED_ROWS, lines]
        yield part


def _bytes_in_c_order(array: np.ndarray[Any, Any]) -> Iterator[Any]:
    """As `_in_c_order`, for bytes that lie one after the other along the first axis.

    Eight of them are moved as one word, then told apart.
    """
    import numpy as np

    turned = array.strides[0] < 0
    words = (array[::-1] if turned else array).transpose(2, 1, 0).view(np.uint64)
    starts = range(0, words.shape[2], HASHED_WORDS)
    for start in reversed(starts) if turned else starts:
        part = np.ascontiguousarray(words[:, :, start : start + HASHED_WORDS].transpose(2, 1, 0))
        rows = part.view(np.uint8).reshape(*part.shape, 8)
        for eight in rows[::-1] if turned else rows:
            for place in range(7, -1, -1) if turned else range(8):
                yield np.ascontiguousarray(eight[:, :, place])
