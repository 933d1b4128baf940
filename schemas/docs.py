"""The page docs/tables.md, made from the schemas: `python -m schemas.docs > docs/tables.md`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.table import Column, Table

HEAD = """\
# Tables

Made from the package `schemas` by `python -m schemas.docs > docs/tables.md`; do not edit.

Every table is a Delta Lake table in `STORE/tables/<table>/`, version {version}.
A commit replaces all rows of an item at once: those whose column in *replaced by* names it.
A column is never missing unless its type says `or missing`.

## Reading them

    import fvlm_data

    store = fvlm_data.open_store("STORE")            # a folder or a URL; the vault is not needed
    store.findings.to_pandas()
    store.findings.select("report_id", "finding").where("status = 'present'").to_arrow()
    store.masks.relation()                           # a lazy DuckDB relation over the Parquet files
    store.sql("SELECT split, count(*) FROM samples GROUP BY split").to_df()

Each table is an attribute of its name, `columns` names its columns. It is read at its newest
version when rows are asked for, and never written; tables on object storage are read whole. DuckDB
fetches no extension. Other tools open `STORE/tables/<table>/` as Delta Lake, or as plain Parquet
what `fvlm-data export tables` writes.
"""


def tables_page() -> str:
    """All tables as Markdown, in the order of the data."""
    parts = [HEAD.format(version=schemas.VERSION)]
    parts += ["\n".join(_section(table)) for table in schemas.TABLES.values()]
    return "\n".join(parts)


def _section(table: Table) -> Iterator[str]:
    yield f"## {table.name}"
    yield ""
    yield table.description
    yield ""
    yield f"- primary key: {', '.join(f'`{name}`' for name in table.primary_key)}"
    yield f"- replaced by: `{table.replaced_by}`"
    if table.partition_by:
        yield f"- partitioned by: {', '.join(f'`{name}`' for name in table.partition_by)}"
    yield ""
    yield "| column | type | unit | meaning |"
    yield "|---|---|---|---|"
    for name, column in table.columns.items():
        yield f"| `{name}` | {_type(column)} | {column.unit} | {_meaning(column)} |"
    yield ""


def _type(column: Column) -> str:
    told = str(column.type).replace("list<item: ", "list<").replace("double", "float64")
    return f"`{told}`{' or missing' if column.nullable else ''}"


def _meaning(column: Column) -> str:
    told = column.description
    if column.allowed:
        told = f"{told}: {', '.join(f'`{value}`' for value in column.allowed)}"
    return told.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(tables_page())
