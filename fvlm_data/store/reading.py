"""Rows of a Delta Lake table, read without Python code in the reading threads.

deltalake's own way hands pyarrow a filesystem that is written in Python. A reading thread which
lets go of such a file while the interpreter ends aborts the process (3 % of short commands on a
busy machine did), so a folder is read by pyarrow's own filesystem, and files on object storage
are fetched whole first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow.dataset import FileSystemDataset
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from pyarrow.parquet import filters_to_expression

import schemas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake import DeltaTable

Condition = tuple[str, str, Any]


def added_fields(table: str) -> list[pa.Field]:
    """Columns that the table may lack in a store that was made before they came."""
    return [schemas.TABLES[table].schema.field(n) for n in schemas.ADDED_COLUMNS.get(table, ())]


def from_folder(
    table: DeltaTable,
    folder: str,
    added: Sequence[pa.Field],
    columns: Sequence[str] | None,
    where: Sequence[Condition] | None,
) -> pa.Table:
    """Rows of the table whose files lie in `folder`; `added` columns may be none of the table's."""
    dataset = table.to_pyarrow_dataset(filesystem=SubTreeFileSystem(folder, LocalFileSystem()))
    whole = dataset.replace_schema(_completed(dataset.schema, added))
    return whole.to_table(
        columns=list(columns) if columns else None,
        filter=filters_to_expression(list(where)) if where else None,
    )


def from_object_storage(
    table: DeltaTable,
    filesystem: Any,
    folder: str,
    added: Sequence[pa.Field],
    columns: Sequence[str] | None,
    where: Sequence[Condition] | None,
) -> pa.Table:
    """Rows of the table whose files lie in `folder` of an fsspec filesystem.

    Files that hold no row of the conditions by the log's statistics are not fetched; `added` as
    in `from_folder`.
    """
    named = table.to_pyarrow_dataset(filesystem=LocalFileSystem())  # names only: nothing is read
    dataset = named.replace_schema(_completed(named.schema, added))
    condition = filters_to_expression(list(where)) if where else None
    fragments = {f"{folder}/{found.path}": found for found in dataset.get_fragments(condition)}
    contents = filesystem.cat(list(fragments)) if fragments else {}
    fetched = [
        dataset.format.make_fragment(
            pa.BufferReader(contents[path]), partition_expression=fragment.partition_expression
        )
        for path, fragment in fragments.items()
    ]
    there = FileSystemDataset(fetched, dataset.schema, dataset.format)
    return there.to_table(columns=list(columns) if columns else None, filter=condition)


def _completed(schema: pa.Schema, added: Sequence[pa.Field]) -> pa.Schema:
    """The schema with the columns that it lacks; where no file has them, they hold nothing."""
    return pa.schema([*schema, *(field for field in added if field.name not in schema.names)])
