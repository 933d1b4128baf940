"""What is known of the files of a source, so that unchanged ones are not opened again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fvlm_data.ingest.discovery.file_kind import Probed
    from fvlm_data.ingest.discovery.walk import FoundFile
    from fvlm_data.store.tables import Store

NEVER = -1
"""A size that no file has, so that the file is read again."""


class KnownFiles:
    """Size and modification time of files that were read before: 24 bytes a file."""

    def __init__(self, tokens: Iterable[str], sizes: Any, times: Any) -> None:
        """Files by token, with their sizes in bytes and modification times in ns."""
        numbers = _numbers(tokens)
        order = np.argsort(numbers)
        self._numbers = numbers[order]
        self._sizes = np.asarray(sizes, dtype=np.int64)[order]
        self._times = np.asarray(times, dtype=np.int64)[order]

    def changed(self, tokens: Sequence[str], files: Sequence[FoundFile]) -> list[bool]:
        """Whether each file is new, or differs in size or modification time."""
        at, known = self._found(tokens)
        if not len(self._numbers):
            return [True] * len(tokens)
        same = (
            known
            & (self._sizes[at] == [file.size_bytes for file in files])
            & (self._times[at] == [file.modified_ns for file in files])
        )
        found: list[bool] = (~same).tolist()
        return found

    def held(self, tokens: Sequence[str]) -> list[str]:
        """Those of the tokens that have a row in `inputs`."""
        known = self._found(tokens)[1].tolist()
        return [token for token, one in zip(tokens, known, strict=True) if one]

    def _found(self, tokens: Sequence[str]) -> tuple[Any, Any]:
        """Place of each token, and whether it is there at all."""
        if not len(self._numbers):
            return np.zeros(len(tokens), dtype=np.int64), np.zeros(len(tokens), dtype=bool)
        numbers = _numbers(tokens)
        # clipped: a number above all others would lie past the end
        at = np.searchsorted(self._numbers, numbers).clip(max=len(self._numbers) - 1)
        return at, self._numbers[at] == numbers


def stamped(probed: Probed, made_by: str) -> Probed:
    """What was probed, its fingerprint with the package that reads the file.

    A new version of that package thus remakes the series of its files and no others. Files that
    this program reads itself, and those that could not be read, keep their fingerprint.
    """
    if not (made_by and probed.fingerprint):
        return probed
    return replace(probed, fingerprint=f"{probed.fingerprint} {made_by}")


def known_files(store: Store, source: str, *, trusted: bool, made_by: str = "") -> KnownFiles:
    """The files of a source that have a row in `inputs`.

    One that could not be read has no fingerprint and is tried again. Of a source that is not
    `trusted`, all are read again; and those that another version than `made_by` has read.
    """
    mine = [("kind", "=", "file"), ("source", "=", source)]
    columns = ["token", "size_bytes", "modified_ns", *(["fingerprint"] if made_by else [])]
    rows = store.read("inputs", columns, [*mine, ("fingerprint", "!=", "")])
    failed = store.read("inputs", ["token"], [*mine, ("fingerprint", "=", "")])
    sizes = np.full(rows.num_rows + failed.num_rows, NEVER)
    times = np.zeros(len(sizes), dtype=np.int64)
    if trusted:
        sizes[: rows.num_rows] = rows["size_bytes"].to_numpy()
        times[: rows.num_rows] = rows["modified_ns"].to_numpy()
    if made_by:
        by_this = pc.ends_with(rows["fingerprint"], f" {made_by}").to_numpy()
        sizes[: rows.num_rows][~by_this] = NEVER
    tokens = (token.as_py() for token in chain(rows["token"], failed["token"]))
    return KnownFiles(tokens, sizes, times)


def _numbers(tokens: Iterable[str]) -> Any:
    """64 bits that stand for each token; two of ten million collide with a chance of 3e-6."""
    digests = (hashlib.blake2b(token.encode(), digest_size=8).digest() for token in tokens)
    return np.fromiter((int.from_bytes(one, "little") for one in digests), dtype=np.uint64)
