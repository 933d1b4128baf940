"""Discovery of mapping rows: what a mapping CSV says of each series, as rows of `inputs`."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from fvlm_data.identity.ids import keyed_id
from fvlm_data.ingest.discovery.commit import SourceWriter, close
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.ingest.volume.description import described, load, unreadable
from fvlm_data.store.queries import open_tables
from fvlm_data.store.sql import quoted
from schemas import Input

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.volume.description import Columns, Description
    from fvlm_data.store.declared import Context

STAGE, KIND = "discover_mapping", "mapping"
NOT_MAPPED = "not mapped"
"""Fingerprint of a series that the mapping does not mention."""

SERIES_AT_ONCE = 10_000

Found = tuple[str, str | None, list[dict[str, Any]] | None]
"""Series, the token of its file (None: it has none any more), its rows of kind mapping."""


def discover_mapping(
    context: Context, sources: Mapping[str, SourceConfig], damaged: Collection[str]
) -> None:
    """Bring the rows of kind `mapping` in table `inputs` up to date with the mapping files.

    `sources` stand under the tokens of their rows. Each series of a source with a mapping gets
    one row with a keyed hash of what the mapping says of it. Only new and changed ones are
    written. A mapping file whose size and modification time are as before is not opened, unless
    there are new series or rows of the source were `damaged`.

    Raises:
        InputError: a mapping cannot be read, or its columns or values are not as expected.
        StoreError: the store cannot be read or written.
    """
    writers = []
    for name, source in sources.items():
        writer = SourceWriter(context, STAGE, KIND, name, source.label, name in damaged)
        writers.append(writer)
        columns = SOURCES.load(source.kind).mapping
        if source.mapping is None or columns is None:
            mine = [("kind", "=", KIND), ("source", "=", name)]
            rows = context.store.read("inputs", ["token"], mine)
            writer.write([], set(rows["token"].to_pylist()))
        else:
            _look(writer, source.mapping, columns)
    close(context, writers)


def _look(writer: SourceWriter, mapping: Path, columns: Columns) -> None:
    """Compare the mapping of one source with its rows; its own row is written last."""
    path = mapping.expanduser()
    try:
        state = path.stat()
    except OSError as error:
        raise unreadable(mapping, error) from error
    seen = (state.st_size, state.st_mtime_ns)
    as_before = not writer.damaged and _seen_before(writer) == seen
    # twice if damaged: a row that named another series goes out with that series' wrong rows, and
    # only then is its own series seen to lack one
    for _ in range(2 if writer.damaged else 1):
        for found in _series(writer, only_new=as_before):
            _write(writer, found, load(mapping, columns))
    if not as_before:
        load(mapping, columns)  # a faulty file is refused even if there is no series yet
        digest = hmac.new(writer.context.vault.key, path.read_bytes(), hashlib.sha256).hexdigest()
        token = _file_token(writer)
        writer.write([_row(writer, token, None, digest, size_bytes=seen[0], modified_ns=seen[1])])


def _write(
    writer: SourceWriter, found: Sequence[Found], descriptions: Mapping[str, Description]
) -> None:
    key = writer.context.vault.key
    relative = writer.context.vault.file_paths(token for _, token, _ in found if token)
    rows: list[Input] = []
    gone: list[str] = []
    for series, token, standing in found:
        told = standing or []
        if token is None:
            gone.extend(row["token"] for row in told)
            continue
        description = described(descriptions, relative.get(token, ""))
        fingerprint = description.key(key) if description else NOT_MAPPED
        row = _row(writer, _series_token(writer, series), series, fingerprint)
        expected = {"token": row.token, "fingerprint": fingerprint, "size_bytes": 0}
        if told != [expected]:
            rows.append(row)
            gone.extend(one["token"] for one in told)
    writer.write(rows, gone)


def _series(writer: SourceWriter, *, only_new: bool) -> Iterator[list[Found]]:
    """Series of the source with their rows, in portions; rows of no series as series ''.

    With `only_new` those that have files and rows are left out.
    """
    mine = f"source = {quoted(writer.source)}"
    where = "WHERE f.item IS NULL OR m.item IS NULL" if only_new else ""
    connection = writer.context.store.connect()
    try:
        open_tables(writer.context, connection, ["inputs"])
        result = connection.execute(
            "SELECT coalesce(f.item, m.item) AS item, f.token, m.rows "
            "FROM (SELECT item, min(token) AS token FROM inputs "
            f"WHERE kind = 'file' AND {mine} AND item IS NOT NULL GROUP BY item) f "
            "FULL JOIN (SELECT coalesce(item, '') AS item, list({'token': token, "
            "'fingerprint': fingerprint, 'size_bytes': size_bytes}) AS rows FROM inputs "
            f"WHERE kind = {quoted(KIND)} AND {mine} AND token <> {quoted(_file_token(writer))} "
            f"GROUP BY coalesce(item, '')) m ON m.item = f.item {where} ORDER BY 1"
        )
        while found := result.fetchmany(SERIES_AT_ONCE):
            yield found
    finally:
        connection.close()


def _seen_before(writer: SourceWriter) -> tuple[int, int] | None:
    """Size and modification time of the mapping file when it was last looked through."""
    mine = [("kind", "=", KIND), ("token", "=", _file_token(writer))]
    rows = writer.context.store.read("inputs", ["size_bytes", "modified_ns"], mine).to_pylist()
    return (rows[0]["size_bytes"], rows[0]["modified_ns"]) if rows else None


def _file_token(writer: SourceWriter) -> str:
    return keyed_id(writer.context.vault.key, "f", "mapping file", writer.label)


def _series_token(writer: SourceWriter, series: str) -> str:
    return keyed_id(writer.context.vault.key, "f", "mapping row", writer.label, series)


def _row(
    writer: SourceWriter,
    token: str,
    item: str | None,
    fingerprint: str,
    size_bytes: int = 0,
    modified_ns: int = 0,
) -> Input:
    return Input(
        kind=KIND,
        token=token,
        source=writer.source,
        item=item,
        fingerprint=fingerprint,
        size_bytes=size_bytes,
        modified_ns=modified_ns,
    )
