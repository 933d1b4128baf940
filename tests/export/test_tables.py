from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.export.tables import write_tables
from fvlm_data.store.tables import Store
from tests.export.conftest import files_of, make_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shards.conftest import World


def test_every_row_in_the_order_of_its_key(world: World, tmp_path: Path):
    write_tables(world.store, tmp_path / "out")
    assert set(files_of(tmp_path / "out")) == {f"{name}.parquet" for name in schemas.TABLES}
    for name, table in schemas.TABLES.items():
        rows = pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist()
        keys = [tuple(row[column] for column in table.primary_key) for row in rows]
        assert keys == sorted(keys)
        assert len(rows) == world.store.count(name)
    assert world.store.count("anatomy_texts") > 10


def test_a_second_export_gives_the_same_bytes(world: World, tmp_path: Path):
    for name in ("a", "b"):
        write_tables(world.store, tmp_path / name)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_an_export_that_fails_is_not_there(tmp_path: Path):
    made = make_store(tmp_path)
    moved = "tables/volumes/_delta_log"
    log = {path: made.store.read_bytes(path) for path in made.store.files(moved)}
    made.store.remove(moved)
    with pytest.raises(StoreError, match="table volumes is missing"):
        write_tables(Store.open(made.store.url), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for path, content in log.items():
        made.store.write_bytes(path, content)
    write_tables(made.store, tmp_path / "out")
    assert len(files_of(tmp_path / "out")) == len(schemas.TABLES)
