"""Files that tell nobody's name: in a folder of one patient, or called as a file of theirs."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fvlm_data.forget.listing import listed
from fvlm_data.ingest.volume.description import stem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import duckdb

    from fvlm_data.store.declared import Context

MINE = "SELECT token, source FROM inputs WHERE kind = 'file' AND token IN (FROM _mine)"
LOOSE = """
SELECT token, source FROM inputs WHERE kind = 'file' AND item IS NULL
AND token NOT IN (FROM _mine) AND source IN (SELECT source FROM inputs WHERE token IN (FROM _mine))
"""
OTHERS = """
SELECT token, source FROM inputs WHERE kind = 'file' AND item IS NOT NULL
AND token NOT IN (FROM _mine) AND source IN (SELECT source FROM inputs WHERE token IN (FROM _mine))
"""
ROWS_AT_ONCE = 10_000

Place = tuple[str, str]
"""Source, and below it a folder or the path of a file without its ending."""


def files_beside(
    context: Context, connection: duckdb.DuckDBPyConnection, files: Collection[str]
) -> set[str]:
    """Tokens of files that were set aside and lie in or below a folder of only these files.

    A folder counts if it, with all below it, holds no file of a series but these. So do files that
    have the path of one of these but for the ending: its sidecar, its detached voxels. `inputs`
    must be an open view.
    """
    listed(connection, "_mine", files)
    own = {place for _, places in _placed(context, connection, MINE) for place in places}
    found = {
        token: places & own
        for token, places in _placed(context, connection, LOOSE)
        if not places.isdisjoint(own)
    }
    if not found:
        return set()
    # all other files only now: their paths have to be decrypted
    for _, places in _placed(context, connection, OTHERS):
        own -= places
    return {token for token, places in found.items() if not places.isdisjoint(own)}


def _placed(
    context: Context, connection: duckdb.DuckDBPyConnection, query: str
) -> Iterator[tuple[str, set[Place]]]:
    """Files, SQL of token and source, each with its path and all folders above it."""
    result = connection.execute(query)
    while rows := result.fetchmany(ROWS_AT_ONCE):
        sources = dict(rows)
        for token, path in context.vault.file_paths(sources).items():
            yield token, {(sources[token], place) for place in (stem(path), *_above(path))}


def _above(path: str) -> Iterator[str]:
    """The folders above a relative path, but for the source itself."""
    # as no path of a file ends
    yield from (f"{one}/" for one in PurePosixPath(path).parents if one != PurePosixPath())
