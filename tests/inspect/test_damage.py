"""Whatever harms a store: `verify` sees it, the next run mends it, and nothing else changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import schemas
from fvlm_data.run.config import Config
from tests.e2e.chain import snapshot
from tests.inspect import damage

Harm = Callable[[Config, str], None]


def check(
    config: Config, before: dict[str, list[str]], *, deep: bool = False, seen: bool = True
) -> None:
    """The harm is seen, the next run mends it, and all is as before."""
    assert bool(damage.broken(config, deep=deep)) == seen
    damage.run(config)
    assert damage.broken(config, deep=deep) == []
    assert snapshot(Path(config.store), placement=False) == before


def test_a_settled_store_is_whole(config: Config):
    assert damage.broken(config, deep=True) == []


HARMS: tuple[Harm, ...] = (*damage.ROWS, *damage.TABLE_FILES)
ALWAYS = {
    ("masks", damage.rows_deleted),
    ("anatomy_texts", damage.entry_emptied),
}
OFTEN = {
    ("masks", damage.file_cut),
    ("samples", damage.value_changed),
    ("masks", damage.rows_doubled),
    *((table, damage.value_changed) for table in ("files", "ledger", "waiting")),
    ("reports", damage.byte_changed),
}


def harms() -> Iterator[Any]:
    """Every kind of harm to every table: minutes, but for those that run always, or in CI."""
    for table, harm in product(damage.OTHER_VALUES, HARMS):
        rest = pytest.mark.full if (table, harm) in OFTEN else pytest.mark.exhaustive
        marks = () if (table, harm) in ALWAYS else rest
        yield pytest.param(table, harm, marks=marks, id=f"{table}-{harm.__name__}")


@pytest.mark.slow
@pytest.mark.parametrize(("table", "harm"), list(harms()))
def test_harm_to_a_table(config: Config, before: dict[str, list[str]], table: str, harm: Harm):
    was = damage.standing(config, table)
    harm(config, table)
    # a table's last entry may have changed nothing; what counts of the ledger is not all of it
    check(config, before, seen=damage.standing(config, table) != was)


FILES = {
    "volume": "volumes/*/*.nii.gz",
    "mask": "masks/*/*.nii.gz",
    "chunk": "shards/*/*.zarr/image/c/*/*/*",
    "metadata": "shards/*/*.zarr/image/zarr.json",
    "index": "shards/*/*.parquet",
}


def kinds_of_files(*always: str) -> list[Any]:
    """Kinds of files, of which those named here are tried in every run of the tests."""
    return [pytest.param(k, marks=() if k in always else pytest.mark.full) for k in FILES]


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds_of_files("volume"))
def test_deleted_file(config: Config, before: dict[str, list[str]], kind: str):
    damage.stored(config, FILES[kind])[0].unlink()
    check(config, before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds_of_files())
def test_cut_file(config: Config, before: dict[str, list[str]], kind: str):
    path = damage.stored(config, FILES[kind])[0]
    os.truncate(path, path.stat().st_size // 2)
    check(config, before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds_of_files())
def test_changed_byte(config: Config, before: dict[str, list[str]], kind: str):
    path = damage.stored(config, FILES[kind])[0]
    if kind == "index":
        damage.flip_parquet(path, list(schemas.TABLES["samples"].columns))
    else:
        damage.flip(path)
    check(config, before, deep=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern",
    [FILES["volume"], pytest.param(FILES["mask"], marks=pytest.mark.full)],
    ids=["volume", "mask"],
)
def test_files_in_each_others_place(config: Config, before: dict[str, list[str]], pattern: str):
    first, second = damage.stored(config, pattern)[:2]
    damage.exchanged(first, second)
    check(config, before, deep=True)


@pytest.mark.slow
def test_damage_does_not_spread(config: Config, before: dict[str, list[str]]):
    """With a third of the masks' rows lost, a run that cannot make them anew leaves the samples."""
    from fvlm_data.run.curate import curate

    rows = damage.table(config, "masks").to_pyarrow_table().to_pylist()
    whole, part = sorted({row["volume_id"] for row in rows})[:2]
    liver = f"volume_id = '{part}' AND class_name = 'liver'"
    damage.table(config, "masks").delete(f"volume_id = '{whole}' OR ({liver})")
    summary = curate(config, ["split", "pair", "shard"])
    now = snapshot(Path(config.store), placement=False)
    for table in ("samples", "anatomy_texts", "arrays"):
        assert now[table] == before[table]
    assert summary.stages["shard"]["held"] >= 1
    check(config, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage",
    [pytest.param(one, marks=pytest.mark.full) for one in ("reports", "ingest", "shard")],
)
def test_lost_ledger_rows(config: Config, before: dict[str, list[str]], stage: str):
    damage.table(config, "ledger").delete(f"stage = '{stage}'")
    check(config, before)
