"""What is known of the files of a source, so that unchanged ones are not opened again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fvlm_data.isolation.limits import REASONS
from fvlm_data.store.relations import Relations
from fvlm_data.store.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from fvlm_data.ingest.discovery.file_kind import Probed
    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.store.tables import Store

Look = Literal["", "header", "whole"]
"""What of a file is read: nothing, what tells its series, or all of its bytes as well."""

UNOPENED: Look = ""
HEADER: Look = "header"
WHOLE: Look = "whole"

NEVER = -1
"""A size that no file has, so that the file is read again."""

UNKNOWN = -1
"""The inode of a file whose row was written before inodes were kept."""


class KnownFiles:
    """Size, modification time and inode of files that were read before: 32 bytes a file.

    `read_again` are tokens of files that are known and to be read again whatever these say.
    """

    def __init__(
        self,
        tokens: Iterable[str],
        sizes: Any,
        times: Any,
        inodes: Any,
        read_again: Sequence[str] = (),
    ) -> None:
        """Files by token, with sizes in bytes, modification times in ns, and inodes.

        An inode UNKNOWN is taken to be as before.
        """
        self.read_again = read_again
        numbers = _numbers(tokens)
        order = np.argsort(numbers)
        self._numbers = numbers[order]
        self._sizes = np.asarray(sizes, dtype=np.int64)[order]
        self._times = np.asarray(times, dtype=np.int64)[order]
        self._inodes = np.asarray(inodes, dtype=np.int64)[order]

    def __len__(self) -> int:
        """Number of files."""
        return len(self._numbers)

    def changed(self, tokens: Sequence[str], files: Sequence[FoundFile]) -> list[bool]:
        """Whether each file is new, or differs in size, modification time or inode."""
        at, known = self._found(tokens)
        if not len(self._numbers):
            return [True] * len(tokens)
        same = (
            known
            & (self._sizes[at] == [file.size_bytes for file in files])
            & (self._times[at] == [file.modified_ns for file in files])
            & ((self._inodes[at] == UNKNOWN) | (self._inodes[at] == [file.inode for file in files]))
        )
        found: list[bool] = (~same).tolist()
        return found

    def looks(
        self, tokens: Sequence[str], files: Sequence[FoundFile], *, rehash: bool = False
    ) -> list[Look]:
        """How each file is to be looked at; with `rehash` every one that is known as a whole."""
        at, known = self._found(tokens)
        changed = [True] * len(tokens) if rehash else self.changed(tokens, files)
        if not len(self._numbers):
            return [HEADER] * len(tokens)
        read_before = known & (self._sizes[at] != NEVER)
        return [
            (WHOLE if before else HEADER) if new else UNOPENED
            for new, before in zip(changed, read_before.tolist(), strict=True)
        ]

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


def settled_fingerprint(probed: Probed, before: str, read: str) -> Probed:
    """What was probed of a known file, its fingerprint changed if and only if its content is.

    `before` is the fingerprint that stands, `read` the checksum of the file as ingest read it, or
    empty. A fingerprint that rests on a part of the bytes shows that a file changed, never that it
    did not: where it is as before, the checksum of the whole file decides.
    """
    standing = before.partition(" ")[0]  # `stamped` adds what comes behind the blank
    if not (probed.sampled and probed.checksum):
        return probed
    if standing.partition("+")[0] != probed.fingerprint:
        return probed
    told = standing if probed.checksum == read else f"{probed.fingerprint}+{probed.checksum}"
    return replace(probed, fingerprint=told)


def stamped(probed: Probed, made_by: str) -> Probed:
    """What was probed, its fingerprint with the package that reads the file.

    A new version of that package thus remakes the series of its files and no others. Files that
    this program reads itself, and those that could not be read, keep their fingerprint.
    """
    if not (made_by and probed.fingerprint):
        return probed
    return replace(probed, fingerprint=f"{probed.fingerprint} {made_by}")


def known_files(
    store: Store, source: str, *, trusted: bool, made_by: str = "", tried: str = ""
) -> KnownFiles:
    """The files of a source that have a row in `inputs`.

    One that could not be read has no fingerprint and is tried again, as is one that ended the
    process which read it under other circumstances than `tried`. Of a source that is not
    `trusted`, all are read again; and those that another version than `made_by` has read.
    """
    anew = ["fingerprint = ''", f"({_due_again(tried)})"]
    if made_by:
        anew.append(f"NOT ends_with(fingerprint, {quoted(' ' + made_by)})")
    rows = Relations(store).arrow(
        f"SELECT token, modified_ns, coalesce(inode, {UNKNOWN}) AS inode, again, "
        f"CASE WHEN again THEN {NEVER} ELSE size_bytes END AS size_bytes FROM "
        f"(SELECT *, {' OR '.join(anew if trusted else ['true'])} AS again FROM inputs "
        f"WHERE kind = 'file' AND source = {quoted(source)})"
    )
    tokens = (token.as_py() for token in rows["token"])
    again = rows.filter(rows["again"])["token"].to_pylist()
    return KnownFiles(
        tokens,
        whole_numbers(rows["size_bytes"]),
        whole_numbers(rows["modified_ns"]),
        whole_numbers(rows["inode"]),
        again,
    )


def whole_numbers(column: pa.ChunkedArray) -> Any:
    """An integer column without nulls as NumPy; Arrow's own way would import pandas."""
    chunks = [np.from_dlpack(chunk) for chunk in column.chunks]
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int64)


def ended_fingerprint(reason: str, tried: str) -> str:
    """What stands for the content of a file that ended the process which read it."""
    return f"{reason}:{tried}"


def _due_again(tried: str) -> str:
    """SQL condition: the file ended its process under other circumstances; any if none are told."""
    reasons = ", ".join(map(quoted, REASONS))
    ended = (
        f"token IN (SELECT item FROM quarantine WHERE stage = 'discover' AND reason IN ({reasons}))"
    )
    if not tried:
        return ended
    rest = ", ".join(quoted(ended_fingerprint(reason, tried)) for reason in REASONS)
    # a package of others may have put its version behind it
    return f"{ended} AND split_part(fingerprint, ' ', 1) NOT IN ({rest})"


def _numbers(tokens: Iterable[str]) -> Any:
    """64 bits that stand for each token; two of ten million collide with a chance of 3e-6."""
    digests = (hashlib.blake2b(token.encode(), digest_size=8).digest() for token in tokens)
    return np.fromiter((int.from_bytes(one, "little") for one in digests), dtype=np.uint64)
