"""The store: Delta Lake tables and files in one folder or bucket."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from fsspec.implementations.local import LocalFileSystem

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.store.place import MARK as MARK
from fvlm_data.store.place import add_tables, as_os_errors, make, read_mark, resolve, table_url
from fvlm_data.store.reading import Condition, added_fields, from_folder, from_object_storage
from fvlm_data.store.writing import by_key, check_owners, rows_of, write_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

COMMIT_ATTEMPTS = 30
ITEMS_A_PREDICATE = 10_000
TARGET_FILE_BYTES = 128 * 1024 * 1024

Written = TypeVar("Written")


class Store:
    """Tables and files below one URL; the only place that reads and writes them.

    A file is seen whole or not at all: it is written under a temporary name and renamed (on
    object storage: one put). A table changes by atomic commits.
    """

    def __init__(self, url: str, filesystem: Any, root: str, store_id: str) -> None:
        """Use `Store.create` or `Store.open`."""
        self.url = url
        self.store_id = store_id
        self._fs = filesystem
        self._root = root

    @classmethod
    def create(cls, url: str | Path) -> Store:
        """Open the store at `url`, making it where there is none.

        Raises:
            StoreError: the place cannot be written, holds other things, or was made by another
                version of the tables.
        """
        text, filesystem, root = resolve(url)
        try:
            if not filesystem.exists(f"{root}/{MARK}"):
                make(text, filesystem, root)
        except StoreError:
            raise
        except Exception as error:  # object storage raises classes of its own
            raise StoreError(
                f"store {text}: cannot be made ({type(error).__name__}); "
                "expected a folder or bucket that this user may write"
            ) from error
        return cls.open(url)

    @classmethod
    def open(cls, url: str | Path) -> Store:
        """Open an existing store.

        Raises:
            StoreError: there is no store, it cannot be read, or its version differs.
        """
        text, filesystem, root = resolve(url)
        store_id = read_mark(text, filesystem, root)
        try:
            add_tables(text, filesystem, root)
        except Exception as error:  # object storage raises classes of its own
            raise StoreError(
                f"store {text}: a table that came later cannot be made ({type(error).__name__}); "
                "expected a folder or bucket that this user may write"
            ) from error
        return cls(text, filesystem, root, store_id)

    @property
    def local_root(self) -> Path | None:
        """The store's folder, or None where the store is on object storage."""
        return Path(self._root) if isinstance(self._fs, LocalFileSystem) else None

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: Sequence[Condition] | None = None,
    ) -> pa.Table:
        """Rows of `table`; `where` holds (column, operator, value) conditions, all to hold.

        Operators are those of pyarrow's filters (=, !=, <, >, in, not in). Row order is not
        defined.

        Raises:
            StoreError: the table is missing or damaged.
        """
        try:
            return self._newest(table, columns, where)[1]
        except (DeltaError, OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"store {self.url}: table {table} cannot be read ({type(error).__name__}); restore "
                f"tables/{table} from a backup"
            ) from error

    def read_items(
        self, table: str, column: str, values: Iterable[str], columns: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Rows whose `column` holds one of `values`, as dictionaries, in no defined order."""
        wanted = sorted(set(values))
        if not wanted:
            return []
        rows: list[dict[str, Any]] = []
        for start in range(0, len(wanted), ITEMS_A_PREDICATE):
            part = wanted[start : start + ITEMS_A_PREDICATE]
            rows.extend(self.read(table, columns, [(column, "in", part)]).to_pylist())
        return rows

    def count(self, table: str) -> int:
        """Number of rows, as the log tells.

        Raises:
            StoreError: the table is missing or damaged.
        """
        try:
            return int(self._table(table).count())
        except (DeltaError, OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"store {self.url}: table {table} cannot be read ({type(error).__name__}); restore "
                f"tables/{table} from a backup"
            ) from error

    def replace(
        self,
        table: str,
        items: Collection[str],
        rows: Sequence[Any],
        also: Mapping[str, str] | None = None,
    ) -> None:
        """Replace all rows of `items` (by the table's `replaced_by` column).

        Every row must be of one of the items. `also` narrows the replaced rows to those with
        these column values (a partition), which the rows must have. One commit takes up to
        `ITEMS_A_PREDICATE` items. A conflict with another writer is tried again.

        Raises:
            SchemaError: a row does not fit the table or is of no item; nothing is written.
            StoreError: the table cannot be written.
        """
        definition = schemas.TABLES[table]
        arrow = definition.to_arrow(rows)
        wanted = sorted(set(items))
        column = definition.replaced_by
        owners = arrow.column(column)
        check_owners(table, arrow, {column: wanted, **{k: [v] for k, v in (also or {}).items()}})
        for start in range(0, len(wanted), ITEMS_A_PREDICATE):
            part = wanted[start : start + ITEMS_A_PREDICATE]
            predicate = rows_of(column, part, also or {})
            mine = arrow
            if len(wanted) > ITEMS_A_PREDICATE:
                mine = arrow.filter(pc.is_in(owners, pa.array(part)))
            self._overwrite(table, mine, predicate)

    def swap(self, table: str, before: Sequence[Mapping[str, Any]], rows: Sequence[Any]) -> bool:
        """Replace the rows `before`, as `read` gave them, by `rows` of the same items.

        False, and nothing is written, where another writer has changed one of them meanwhile:
        the comparison and the replacement are one commit. `before` holds all rows of their
        items.

        Raises:
            SchemaError: a row does not fit the table or is of no item.
            StoreError: the table cannot be read or written.
        """
        definition = schemas.TABLES[table]
        column = definition.replaced_by
        arrow = definition.to_arrow(rows)
        items = sorted({str(row[column]) for row in before})
        check_owners(table, arrow, {column: items})
        expected = by_key(table, before)

        def write() -> bool:
            delta, now = self._newest(table, None, [(column, "in", items)])
            if by_key(table, now.to_pylist()) != expected:
                return False
            # written to the version that was read: a later commit to these files is a conflict
            self._write(table, delta, arrow, rows_of(column, items, {}))
            return True

        return self._retry(table, write)

    def replace_all(self, table: str, rows: Sequence[Any]) -> None:
        """Replace the whole table (for tables derived from others) in one commit."""
        self._overwrite(table, schemas.TABLES[table].to_arrow(rows), None)

    def compact(self, table: str, keep_hours: int) -> dict[str, int]:
        """Join small files to about 128 MB and drop files that no version younger needs.

        Versions older than `keep_hours` can no longer be read. Returns counts of files.
        """
        before = len(self._table(table).file_uris())
        self._retry(
            table, lambda: self._table(table).optimize.compact(target_size=TARGET_FILE_BYTES)
        )
        removed = self._vacuum(table, keep_hours)
        after = len(self._table(table).file_uris())
        return {"before": before, "after": after, "removed": len(removed)}

    def forget(self, table: str) -> None:
        """Erase superseded rows of a table from its history, so that no file holds them.

        Only files that the log has dropped are removed, never those of a writer at work.
        """
        self._vacuum(table, 0)

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write one file, seen whole or not at all.

        Raises:
            StoreError: no space, no permission, or the place is gone.
        """
        target = f"{self._root}/{path}"
        try:
            if self.local_root is None:
                with as_os_errors():
                    self._fs.pipe_file(target, content)
                return
            final = Path(target)
            final.parent.mkdir(parents=True, exist_ok=True)
            draft = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
            try:
                with draft.open("wb") as handle:
                    handle.write(content)
                    handle.flush()
                    os.fsync(handle.fileno())
                draft.replace(final)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(self.url, path, error) from error

    def put_tree(self, folder: Path, path: str) -> None:
        """Copy a local folder of files into the store.

        In a folder it is seen whole or not at all; on object storage its files appear one by
        one, so that the row which names it must come after. A folder already at `path` is taken
        as the same content (paths of trees are made from content hashes).

        Raises:
            StoreError: no space, no permission, or the place is gone.
        """
        target = f"{self._root}/{path}"
        try:
            if self.local_root is None:
                with as_os_errors():
                    self._fs.put(f"{folder}/", f"{target}/", recursive=True)
                return
            final = Path(target)
            if final.exists():
                for file in final.rglob("*"):
                    file.touch()  # no row may name it yet: tidying spares what is young
                return
            final.parent.mkdir(parents=True, exist_ok=True)
            draft = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
            try:
                shutil.copytree(folder, draft)
                draft.rename(final)
            except OSError:
                if not final.exists():  # else another run put the same tree first
                    raise
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        except OSError as error:
            raise write_error(self.url, path, error) from error

    def read_bytes(self, path: str) -> bytes:
        """The content of one file.

        Raises:
            StoreError: the file is missing or cannot be read.
        """
        try:
            with as_os_errors():
                return bytes(self._fs.cat_file(f"{self._root}/{path}"))
        except OSError as error:
            raise StoreError(
                f"store {self.url}: file {path} cannot be read ({type(error).__name__})"
            ) from error

    def files(self, path: str) -> list[str]:
        """Paths (relative to the store) of all files below `path`, sorted."""
        below = f"{self._root}/{path}"
        if not self._fs.exists(below):
            return []
        prefix = len(self._root) + 1
        return sorted(found[prefix:] for found in self._fs.find(below))

    def exists(self, path: str) -> bool:
        """Whether a file or folder stands at `path`."""
        return bool(self._fs.exists(f"{self._root}/{path}"))

    def remove(self, path: str) -> None:
        """Remove a file or folder; nothing happens where there is none."""
        target = f"{self._root}/{path}"
        if self._fs.exists(target):
            self._fs.rm(target, recursive=True)

    def location(self, path: str) -> str:
        """URL (object storage) or path (folder) of a file of the store."""
        return f"{self._root}/{path}" if self.local_root else f"{self.url}/{path}"

    def _table(self, table: str) -> DeltaTable:
        try:
            return DeltaTable(table_url(self.url, self._fs, self._root, table))
        except TableNotFoundError as error:
            raise StoreError(
                f"store {self.url}: table {table} is missing; the store is damaged"
            ) from error

    def _newest(
        self, table: str, columns: Sequence[str] | None, where: Sequence[Condition] | None
    ) -> tuple[DeltaTable, pa.Table]:
        """The table at its newest version, and rows of that version."""
        folder, added = f"{self._root}/tables/{table}", added_fields(table)
        delta = self._table(table)
        while True:
            try:
                if self.local_root is None:
                    with as_os_errors():
                        return delta, from_object_storage(
                            delta, self._fs, folder, added, columns, where
                        )
                return delta, from_folder(delta, folder, added, columns, where)
            except FileNotFoundError:
                newest = self._table(table)
                if newest.version() == delta.version():
                    raise
                delta = newest  # another process joined files and removed the old ones

    def _overwrite(self, table: str, rows: pa.Table, predicate: str | None) -> None:
        self._retry(table, lambda: self._write(table, self._table(table), rows, predicate))

    def _write(self, table: str, delta: DeltaTable, rows: pa.Table, predicate: str | None) -> None:
        # an older store describes a column in other words, and keeps its own
        bare = rows.cast(pa.schema([field.remove_metadata() for field in rows.schema]))
        write_deltalake(
            delta,
            bare,
            mode="overwrite",
            predicate=predicate,
            schema_mode="merge" if table in schemas.ADDED_COLUMNS else None,
        )

    def _vacuum(self, table: str, keep_hours: int) -> list[str]:
        return self._retry(
            table,
            lambda: self._table(table).vacuum(
                retention_hours=keep_hours, enforce_retention_duration=False, dry_run=False
            ),
        )

    def _retry(self, table: str, write: Callable[[], Written]) -> Written:
        for attempt in range(COMMIT_ATTEMPTS):
            try:
                return write()
            except CommitFailedError:
                time.sleep(random.uniform(0.02, 0.1) * min(2**attempt, 20))
            except (DeltaError, OSError) as error:
                raise write_error(self.url, f"table {table}", error) from error
        raise StoreError(
            f"store {self.url}: table {table} changed under {COMMIT_ATTEMPTS} attempts to write "
            "it; too many writers at once, run again"
        )
