"""A small settled store, and the ways in which tables and files of one come to harm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

import schemas
from fvlm_data.inspect.verify import verify
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.stages import build_stages
from fvlm_data.shards.sets import LABELLED
from fvlm_data.store.content import compared
from fvlm_data.store.reading import UNREADABLE
from fvlm_data.store.sql import identifier
from fvlm_data.store.tables import Store

OTHER_VALUES = {
    "inputs": ("fingerprint", "'another'"),
    "candidates": ("hu_min", "-5"),
    "volumes": ("orientation", "'RAS'"),
    "volume_checks": ("contrast", "'enhanced'"),
    "links": ("value_hash", "'another'"),
    "masks": ("voxels", "7"),
    "report_matches": ("matched_by", "'accession'"),
    "report_versions": ("reason", "'corrected_report'"),
    "reports": ("text", "'another text'"),
    "sentences": ("text", "'another sentence'"),
    "findings": ("status", "'historical'"),
    "study_reports": ("matched_by", "'accession'"),
    "anatomy_texts": ("text", "'another text'"),
    "splits": ("source", "'file'"),
    "samples": ("content_sha256", "'another'"),
    "files": ("sha256", "'another'"),
    "ledger": ("content", "'another'"),
    "quarantine": ("detail", "'another'"),
    "waiting": ("waits_for", "'mask'"),
}
"""For each table a column, and another value of it as SQL."""


def settings(sources: Path, store: Path, vault: Path) -> Config:
    values: dict[str, Any] = {
        "store": str(store),
        "identity": {"vault": str(vault)},
        "sources": [{"kind": "nifti", "path": str(sources / "nifti"), "name": "cases"}],
        "reports": [{"path": str(sources / "reports.csv")}],
        "segment": {
            "backend": "precomputed",
            "masks": str(sources / "masks"),
            "classes": str(sources / "classes.yaml"),
        },
        "shard": {"spacing_mm": [12.0, 12.0, 12.0], "dtype": "uint8"},
        "pair": {"split": {"train": 0.5, "validation": 0.0, "test": 0.5}},
        "qc": {"enabled": False},
    }
    return load_config(None, (), values)


def run(config: Config) -> None:
    curate(config)


def broken(config: Config, *, deep: bool = False) -> list[str]:
    """Names of the statements that do not hold."""
    checks = verify(Store.open(config.store), build_stages(config), deep=deep)
    return [check.name for check in checks if not check.passed]


def table(config: Config, name: str) -> DeltaTable:
    return DeltaTable(f"{config.store}/tables/{name}")


def one_row(delta: DeltaTable, name: str) -> str:
    """SQL of the first row in the order of its key."""
    definition = schemas.TABLES[name]
    rows = delta.to_pyarrow_table()
    keys = ", ".join(map(identifier, definition.primary_key))
    with duckdb.connect() as connection:
        connection.register("_rows", rows)
        first = connection.execute(f"SELECT {keys} FROM _rows ORDER BY {keys} LIMIT 1").fetchall()[
            0
        ]
    named = zip(definition.primary_key, first, strict=True)
    return " AND ".join(
        f"{column} = '{value}'" for column, value in named if isinstance(value, str)
    )


def rows_deleted(config: Config, name: str) -> None:
    delta = table(config, name)
    delta.delete(one_row(delta, name))


def all_rows_deleted(config: Config, name: str) -> None:
    table(config, name).delete()


def rows_doubled(config: Config, name: str) -> None:
    delta = table(config, name)
    rows = delta.to_pyarrow_table()
    bare = pa.schema([field.remove_metadata() for field in rows.schema])
    write_deltalake(delta, rows.slice(0, 1).cast(bare), mode="append")


def value_changed(config: Config, name: str) -> None:
    delta = table(config, name)
    column, value = OTHER_VALUES[name]
    delta.update(updates={column: value}, predicate=one_row(delta, name))


def table_file(config: Config, name: str) -> Path:
    """A Parquet file of the table's newest version."""
    actions = pa.table(table(config, name).get_add_actions(flatten=True)).to_pylist()
    path = max(actions, key=lambda action: action["size_bytes"])["path"]
    return Path(config.store, "tables", name, unquote(path))


def file_deleted(config: Config, name: str) -> None:
    table_file(config, name).unlink()


def file_cut(config: Config, name: str) -> None:
    path = table_file(config, name)
    os.truncate(path, path.stat().st_size // 2)


def byte_changed(config: Config, name: str) -> None:
    flip_parquet(table_file(config, name), compared(name))


def flip_parquet(path: Path, columns: Sequence[str]) -> None:
    """Change the first byte from the middle on that changes what is read of these columns.

    A byte of a statistic, or of another column, changes nothing that counts.
    """
    content = path.read_bytes()
    there = set(pq.read_schema(path).names)  # columns that a path of the table tells are missing
    read = [column for column in columns if column in there]
    before = _rows_of(path, read)
    for place in range(len(content) // 2, len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(bytes(damaged))
        if _rows_of(path, read) != before:
            return
    raise AssertionError(f"no byte of {path} counts")


def _rows_of(path: Path, columns: Sequence[str]) -> list[tuple[Any, ...]] | None:
    """Rows as DuckDB, which the program reads them by, finds them; None: it does not."""
    listed = ", ".join(map(identifier, columns))
    with duckdb.connect() as connection:
        try:
            return connection.execute(f"SELECT {listed} FROM read_parquet('{path}')").fetchall()
        except UNREADABLE:
            return None


def standing(config: Config, name: str) -> list[str] | None:
    """What counts of a table's rows; None: they cannot be read.

    Where the ledger does not know what an index last agreed with, the next run compares them.
    """
    columns = compared(name)
    try:
        rows = table(config, name).to_pyarrow_table(columns=columns).to_pylist()
    except (OSError, ValueError, pa.ArrowException, DeltaError):
        return None
    return sorted(repr(row) for row in rows if row.get("stage") != LABELLED.agreed)


def flip(path: Path) -> None:
    """Change a byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def last_entry(config: Config, name: str) -> Path:
    log = Path(config.store, "tables", name, "_delta_log")
    return max(path for path in log.iterdir() if path.suffix == ".json")


def entry_emptied(config: Config, name: str) -> None:
    last_entry(config, name).write_bytes(b"")


def entry_deleted(config: Config, name: str) -> None:
    last_entry(config, name).unlink()


ROWS: tuple[Callable[[Config, str], None], ...] = (
    rows_deleted,
    all_rows_deleted,
    rows_doubled,
    value_changed,
)
TABLE_FILES: tuple[Callable[[Config, str], None], ...] = (
    file_deleted,
    file_cut,
    byte_changed,
    entry_emptied,
    entry_deleted,
)


def stored(config: Config, pattern: str) -> list[Path]:
    return sorted(Path(config.store).glob(pattern))


def exchanged(first: Path, second: Path) -> None:
    """Each of two files in the other's place."""
    aside = first.with_name("aside")
    shutil.move(first, aside)
    shutil.move(second, first)
    shutil.move(aside, second)
