"""Plain Parquet: every table of a store as one file."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

import schemas
from fvlm_data.export.target import new_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store


def write_tables(store: Store, folder: Path) -> None:
    """Write <table>.parquet for every table, rows ordered by primary key.

    Raises:
        InputError: the folder holds something or cannot be written.
        StoreError: a table cannot be read.
    """
    # a table is read in one piece, and may have changed since a killed run: none is taken up
    with new_folder(folder, secrets.token_hex(8)) as draft:
        write(store, draft, lambda _done, _total: None)


def write(store: Store, draft: Draft, progress: Callable[[int, int], None]) -> None:
    """Write <table>.parquet for every table into a draft.

    Raises:
        StoreError: a table cannot be read.
    """
    for done, (name, table) in enumerate(schemas.TABLES.items(), 1):
        order = [(column, "ascending") for column in table.primary_key]
        with draft.open(f"{name}.parquet") as handle:
            rows = store.read(name).select(table.schema.names).cast(table.schema)
            pq.write_table(rows.sort_by(order), handle)
        progress(done, len(schemas.TABLES))
