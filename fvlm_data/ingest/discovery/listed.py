"""What of a source need not be listed again: folders, or studies of a server, that are as before.

A store keeps of each such unit a keyed hash of its name and one of its state, with the time of the
last listing of everything. A unit is kept only if nothing of it was in motion when it was listed;
what is not kept is looked at again, so that a doubt costs time and loses no file.
"""

from __future__ import annotations

import hashlib
import io
import json
from array import array
from collections import deque
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fvlm_data.identity.ids import keyed_id
from fvlm_data.ingest.discovery.known import whole_numbers
from fvlm_data.ingest.discovery.opener import MEMBER_MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fvlm_data.ingest.discovery.known import KnownFiles
    from fvlm_data.store.declared import Context

FOLDER = "discovery"
DAY_S = 86_400.0
QUIET_S = DAY_S
"""A folder of which a file changed less than so long before it was listed is listed again: a file
that is written into does not change its folder."""

NS = 1e9
DIGEST_BYTES = 8
COLUMNS = ("unit", "state", "closed")
REACHED = 100
"""Names that are kept of those that need not be listed again: the last may be of one who was
forgotten, and then stands nowhere."""

AGAIN = 10_000
"""Known files that are to be read again, beyond which their folders are not looked for singly."""


class Listed:
    """The units of one source: those of the last listing, and those of this one.

    `quiet_before_ns` is the time since which nothing of a unit may have changed for it to be kept.
    Where files come in an order that grows, `after` is the name behind which they are to be listed
    (empty: all are), and `reached` the last names of those that need not be listed again. `again`:
    some known files are to be read again.
    """

    def __init__(self, key: bytes, quiet_before_ns: float, full_at_s: float) -> None:
        """Nothing is known yet: all is listed. `full_at_s`: when it last was, s since 1970."""
        self._key = key[:64]
        self.quiet_before_ns = quiet_before_ns
        self.full_at_s = full_at_s
        self._units: Any = np.zeros(0, np.int64)
        self._states: Any = np.zeros(0, np.int64)
        self._closed: Any = np.zeros(0, np.int8)
        self._new = (array("q"), array("q"), array("b"))
        self.skipped = 0
        self.after = ""
        self.reached: deque[str] = deque(maxlen=REACHED)
        self.again = False

    def know(self, table: pa.Table, again: Iterable[str] = ()) -> None:
        """Take over the units of an earlier listing, but those called `again`."""
        units, states, closed = (whole_numbers(table[name]) for name in COLUMNS)
        left = ~np.isin(units, [self._hash(name) for name in again])
        order = np.argsort(units[left])
        self._units, self._states = units[left][order], states[left][order]
        self._closed = closed[left][order]

    def as_before(self, name: str, state: Sequence[int]) -> bool:
        """Whether a unit is as it was: its own files need no look."""
        return self._place(name, state) is not None

    def done(self, name: str, state: Sequence[int]) -> bool:
        """Whether a unit is as it was and holds no others: it is kept, and counted as skipped."""
        place = self._place(name, state)
        if place is None or not self._closed[place]:
            return False
        self.keep(name, state, closed=True)
        self.skipped += 1
        return True

    def keep(self, name: str, state: Sequence[int], *, closed: bool) -> None:
        """The next listing may pass over this unit; `closed`: no other unit lies in it."""
        unit, stamp, shut = self._new
        unit.append(self._hash(name))
        stamp.append(self._hash(*map(str, state)))
        shut.append(closed)

    def table(self) -> pa.Table:
        """The units that this listing keeps."""
        units, states, closed = self._new
        columns = [
            pa.array(np.frombuffer(units, np.int64)),
            pa.array(np.frombuffer(states, np.int64)),
            pa.array(np.frombuffer(closed, np.int8)),
        ]
        return pa.table(columns, names=list(COLUMNS))

    def _place(self, name: str, state: Sequence[int]) -> int | None:
        if not len(self._units):
            return None
        unit = self._hash(name)
        at = int(np.searchsorted(self._units, unit))
        if at == len(self._units) or self._units[at] != unit:
            return None
        return at if self._states[at] == self._hash(*map(str, state)) else None

    def _hash(self, *parts: str) -> int:
        text = "\x1f".join(parts).encode(errors="surrogateescape")
        digest = hashlib.blake2b(text, digest_size=DIGEST_BYTES, key=self._key)
        return int.from_bytes(digest.digest(), "big", signed=True)


def last_listing(
    context: Context, source: str, known: KnownFiles, now_s: float, full_days: float, *, full: bool
) -> Listed:
    """The units of a source that this run may pass over; none where all is to be listed.

    All is: with `full`, once the last such listing is `full_days` old, where there was none or its
    file is damaged, where files that were known are not any more, and where many are to be read
    again. `known` are the files of the source.

    Raises:
        StoreError: the store cannot be read.
    """
    quiet_ns = (now_s - QUIET_S) * NS
    everything = Listed(context.vault.key, quiet_ns, now_s)
    path = listing_path(context, source)
    if full or not context.store.exists(path):
        return everything
    try:
        table = pq.read_table(pa.BufferReader(context.store.read_bytes(path)))
        told = json.loads((table.schema.metadata or {})[b"listing"])
        full_at_s, files = float(told["full_at_s"]), int(told["files"])
        table = table.select(COLUMNS)
    except (pa.ArrowException, KeyError, ValueError, TypeError):
        return everything
    again = known.read_again
    # `full_at_s` in the future: a clock was set back
    late = not 0 <= now_s - full_at_s < full_days * DAY_S
    if late or len(known) < files or len(again) > AGAIN:
        return everything
    listed = Listed(context.vault.key, quiet_ns, full_at_s)
    paths = context.vault.file_paths(again)
    listed.know(table, _folders(paths.values()))
    listed.again = bool(again)
    listed.after = _before(context, str(told.get("after", "")), paths.values())
    listed.reached.extend([listed.after] if listed.after else [])
    return listed


def keep_listing(
    context: Context,
    source: str,
    listed: Listed,
    files: int,
    token_of: Callable[[str], str] = str,
) -> None:
    """Keep what was listed, once the rows of all its files are written; `files` are known now.

    `token_of` gives the token of a file's name.

    Raises:
        StoreError: the store cannot be written.
    """
    tokens = [token_of(name) for name in listed.reached]
    known = context.vault.file_paths(tokens)
    after = next((token for token in reversed(tokens) if token in known), "")
    told = json.dumps({"full_at_s": listed.full_at_s, "files": files, "after": after})
    table = listed.table().replace_schema_metadata({"listing": told})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    context.store.write_bytes(listing_path(context, source), buffer.getvalue())


def forget_listings(context: Context) -> None:
    """Have the next run list everything of all sources.

    Raises:
        StoreError: the store cannot be written.
    """
    context.store.remove(FOLDER)


def listing_path(context: Context, source: str) -> str:
    """Where the listing of a source lies in the store."""
    return f"{FOLDER}/{keyed_id(context.vault.key, 'f', 'listing', source)}.parquet"


def _before(context: Context, token: str, again: Iterable[str]) -> str:
    """The name behind which files are to be listed: that of a token, or before those of `again`."""
    name = context.vault.file_paths([token]).get(token, "") if token else ""
    # a name without its end comes before it, and before no other that is to be passed over
    return min([name, *(path[:-1] for path in again)]) if name else ""


def _folders(paths: Iterable[str]) -> set[str]:
    """The units in which files lie: their folders, and studies of a server."""
    found = set()
    for path in paths:
        parts = PurePosixPath(path.partition(MEMBER_MARK)[0]).parts
        found.add("/".join(parts[:-1]))
        # a server: studies/<uid>/series/<uid>/instances/<uid>
        found.update(parts[1:2])
    return found
