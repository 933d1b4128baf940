"""Hashes of contents, from which item keys and content columns are made."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


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
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{little.dtype.str}{little.shape}".encode())
        digest.update(little.data)
    return digest.hexdigest()
