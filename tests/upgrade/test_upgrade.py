"""Stores as older versions wrote them, brought to this version."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

import fvlm_data.run.upgrade
import schemas
from fvlm_data.errors import StoreError
from fvlm_data.inspect.verify import verify
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.records import last_configuration, open_context
from fvlm_data.run.stages import build_stages
from fvlm_data.run.upgrade import upgrade
from fvlm_data.store.migration import add_missing_tables, rewrite_table
from fvlm_data.store.planning import pending
from fvlm_data.store.reading import parts
from fvlm_data.store.tables import MARK, Store

PACKED = Path(__file__).with_name("store_v1.tgz")
PACKED_AT = "/data/v1"
"""Where the store lay when its last run wrote down its configuration."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder of the old store, beside its vault and sources."""
    with tarfile.open(PACKED) as archive:
        archive.extractall(tmp_path / "v1", filter="data")
    store = tmp_path / "v1" / "store"
    for file in (store / "config.yaml", *(store / "runs").glob("*.json")):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(PACKED_AT, str(tmp_path / "v1")), encoding="utf-8")
    return store


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """The folder of a store of version 2, beside its vault and sources."""
    for packed in (PACKED, PACKED.with_name("store_v2.tgz")):
        with tarfile.open(packed) as archive:
            archive.extractall(tmp_path / "v2", filter="data")
        if packed == PACKED:
            for made in ("store", "vault"):
                shutil.rmtree(tmp_path / "v2" / made)
    store = tmp_path / "v2" / "store"
    for file in (store / "config.yaml", *(store / "runs").glob("*.json")):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("/data/v2", str(tmp_path / "v2")), encoding="utf-8")
    return store


@pytest.fixture
def no_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and files alone are brought up: no item is compared with what it is made from."""
    monkeypatch.setattr(fvlm_data.run.upgrade, "build_stages", lambda config: [])


def tables(store: Path) -> dict[str, list[str]]:
    """Every row by table as JSON, of the columns and files that its log names."""
    found = {}
    for folder in sorted((store / "tables").iterdir()):
        delta = DeltaTable(str(folder))
        rows: list[dict[str, Any]] = []
        for part in parts(delta):
            files = [str(folder / path) for path in part.paths]
            relation = duckdb.read_parquet(files, hive_partitioning=False, union_by_name=True)
            rows += [{**row, **part.values} for row in relation.to_arrow_table().to_pylist()]
        found[folder.name] = sorted(json.dumps(row, sort_keys=True) for row in rows)
    return found


def columns(store: Path, table: str) -> set[str]:
    return {field.name for field in DeltaTable(str(store / "tables" / table)).schema().fields}


def version(store: Path) -> int:
    return int(json.loads((store / MARK).read_text())["version"])


def without(rows: list[str], added: set[str]) -> list[str]:
    """Rows as they were before the columns `added`, whose values are missing or empty."""
    found = []
    for text in rows:
        row = json.loads(text)
        assert all(row.get(name) in (None, "", 0, False) for name in added)
        found.append(json.dumps({k: v for k, v in row.items() if k not in added}, sort_keys=True))
    return sorted(found)


def test_an_old_store_is_refused_with_the_way_to_upgrade_it(old: Path):
    expected = rf"tables of version 1 found, .*run `fvlm-data upgrade --store {old}`"
    with pytest.raises(StoreError, match=expected):
        Store.open(old)


def test_tables_get_their_columns_and_keep_their_rows(old: Path):
    before = tables(old)
    had = {name: columns(old, name) for name in before}
    store = Store.open(old, older=(1,))
    made = add_missing_tables(store)
    assert set(made) == schemas.TABLES.keys() - before.keys()
    assert "files" in made
    assert rewrite_table(store, "ledger")
    for name in schemas.TABLES:
        rewrite_table(store, name)
    after = tables(old)
    for name, table in schemas.TABLES.items():
        assert columns(old, name) >= table.columns.keys()
        assert without(after[name], columns(old, name) - had.get(name, set())) == before.get(
            name, []
        )
        partitions = DeltaTable(str(old / "tables" / name)).metadata().partition_columns
        assert tuple(partitions) == table.partition_by
    assert len(after["ledger"]) > 10
    assert not any(rewrite_table(store, name) for name in schemas.TABLES)


def test_an_upgraded_table_is_read_and_written(old: Path, no_stages: None):
    upgrade(str(old))
    store = Store.open(old)
    ledger = store.read("ledger", None, [("stage", "=", "segment:total")])
    assert ledger.schema.equals(schemas.TABLES["ledger"].schema)
    assert set(ledger["content"].to_pylist()) == set(ledger["parts"].to_pylist()) == {""}
    row = schemas.LedgerRow(**{**ledger.to_pylist()[0], "content": "c", "parts": "p"})
    store.replace("ledger", [row.item], [row], {"stage": row.stage})
    again = store.read("ledger", None, [("item", "=", row.item), ("stage", "=", row.stage)])
    assert schemas.LedgerRow(**again.to_pylist()[0]) == row


def test_files_are_named_with_their_sizes(old: Path, no_stages: None):
    upgrade(str(old))
    store = Store.open(old)
    named = {row["path"]: row["size_bytes"] for row in store.read("files").to_pylist()}
    there = store.sizes("volumes") | store.sizes("masks") | store.sizes("shards")
    arrays = {path: size for path, size in there.items() if not path.endswith(".parquet")}
    assert named == arrays
    assert {path.split("/")[0] for path in named} == {"volumes", "masks", "shards"}


def test_the_version_is_marked_last(old: Path, monkeypatch: pytest.MonkeyPatch):
    def killed(config: Config) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fvlm_data.run.upgrade, "build_stages", killed)
        with pytest.raises(KeyboardInterrupt):
            upgrade(str(old))
    assert version(old) == 1
    with pytest.raises(StoreError, match="fvlm-data upgrade"):
        Store.open(old)


@pytest.mark.parametrize("table", ["files", "ledger", "volumes"])
def test_killed_and_repeated_it_ends_as_if_it_had_not_been(
    old: Path, tmp_path: Path, no_stages: None, monkeypatch: pytest.MonkeyPatch, table: str
):
    original = fvlm_data.run.upgrade.rewrite_table

    def killed(store: Store, name: str) -> bool:
        if name == table:
            raise KeyboardInterrupt
        return original(store, name)

    before = tables(old)
    with monkeypatch.context() as patch:
        patch.setattr(fvlm_data.run.upgrade, "rewrite_table", killed)
        with pytest.raises(KeyboardInterrupt):
            upgrade(str(old))
    assert version(old) == 1
    upgrade(str(old))
    assert version(old) == schemas.VERSION
    after = tables(old)
    added = [row for row in after["ledger"] if json.loads(row)["stage"].startswith("discover")]
    counts = {name: len(after[name]) for name in before}
    counts["ledger"] -= len(added)  # of each source, what its discovery left
    assert counts == {name: len(rows) for name, rows in before.items()}
    assert upgrade(str(old)) == {}
    assert tables(old) == after


def test_a_store_of_this_version_is_left_alone(tmp_path: Path):
    store = Store.create(tmp_path / "store")
    before = {name: store.version(name) for name in schemas.TABLES}
    assert upgrade(store.url) == {}
    assert {name: store.version(name) for name in schemas.TABLES} == before


@pytest.mark.parametrize(
    ("found", "added"),
    [
        (
            3,
            [
                "decisions",
                "review_effects",
                "restrictions",
                "radiomics",
                "clinical",
                "unlabelled_samples",
            ],
        ),
        (4, ["restrictions", "radiomics", "clinical", "unlabelled_samples"]),
        (5, ["radiomics", "clinical", "unlabelled_samples"]),
        (6, ["unlabelled_samples"]),
    ],
)
def test_a_later_version_gets_its_tables_and_keeps_the_others(
    tmp_path: Path, found: int, added: list[str]
):
    store = Store.create(tmp_path / "store")
    for name in added:
        shutil.rmtree(tmp_path / "store" / "tables" / name)
    mark = json.dumps({"version": found, "store_id": store.store_id})
    store.write_bytes(MARK, mark.encode())
    before = {name: store.version(name) for name in schemas.TABLES if name not in added}
    with pytest.raises(StoreError, match="fvlm-data upgrade"):
        Store.open(store.url)
    upgrade(store.url)
    upgraded = Store.open(store.url)
    assert [upgraded.count(name) for name in added] == [0] * len(added)
    assert {name: upgraded.version(name) for name in before} == before


def test_a_store_of_a_version_to_come_is_refused(tmp_path: Path):
    store = Store.create(tmp_path / "store")
    mark = json.dumps({"version": schemas.VERSION + 1, "store_id": store.store_id})
    store.write_bytes(MARK, mark.encode())
    with pytest.raises(StoreError, match="use the program version that made the store"):
        upgrade(store.url)


def test_nothing_but_reports_is_made_anew_after_the_upgrade(old: Path):
    adopted = upgrade(str(old))
    store = Store.open(old)
    config = Config.model_validate(last_configuration(store))
    context = open_context(config, create=False)
    stages = build_stages(config)
    for stage in stages:
        if stage.name.startswith("segment:"):
            continue  # masks come from files that the old tables do not know: they are read again
        work = pending(context, stage, stages)
        if stage.name == "reports":  # their rows lack times and confidence
            assert sum(map(len, work.batches)) == store.count("reports") > 0
            assert (work.obsolete, work.mended, work.held, work.lost) == ((), (), 0, ())
            continue
        assert (work.batches, work.obsolete, work.mended) == ((), (), ()), stage.name
        assert (work.held, work.lost) == (0, ()), stage.name
        assert work.settled >= adopted.get(stage.name, 0) > 0 or stage.name not in adopted
    assert sum(adopted.values()) > 10


def settings_of_version_2(folder: Path) -> Config:
    """What the old store was made with; its config.yaml holds tokens for the places."""
    values = {
        "store": str(folder / "store"),
        "identity": {"vault": str(folder / "vault")},
        "sources": [{"kind": "nifti", "path": str(folder / "nifti"), "name": "cases"}],
        "reports": [{"path": str(folder / name)} for name in ("reports.csv", "addenda.csv")],
        "segment": {
            "backend": "precomputed",
            "masks": str(folder / "masks"),
            "classes": str(folder / "classes.yaml"),
        },
        "shard": {"spacing_mm": [12.0, 12.0, 12.0], "dtype": "uint8"},
        "pair": {"split": {"train": 0.5, "validation": 0.0, "test": 0.5}},
        "qc": {"enabled": False},
    }
    return load_config(None, (), values)


def test_version_2_keeps_its_keys_and_reads_its_reports_anew(second: Path):
    before = tables(second)
    adopted = upgrade(str(second))
    # not ingest, select, segment and split, whose versions have risen, nor versions, whose words
    # (answers of forms) have changed: the next run makes them anew
    assert adopted.keys() >= {"match"}
    store = Store.open(second)
    config = settings_of_version_2(second.parent)
    failed = [one for one in verify(store, build_stages(config)) if not one.passed]
    assert failed == []
    unread = store.read("reports").to_pylist()
    assert {row["document_sha256"] for row in unread} == {""}
    held = curate(config, ["pair"])
    assert held.stages["pair"]["held"] == 3  # no order of reports is guessed meanwhile
    summary = curate(config)
    assert summary.stages["reports"]["accepted"] == 4
    assert summary.stages["ingest"]["accepted"] == 3
    assert all(one.passed for one in verify(store, build_stages(config)))
    read = store.read("reports").to_pylist()
    assert [row["text"] for row in read] == [row["text"] for row in unread]
    (addendum,) = (row for row in read if row["addendum"])
    assert addendum["issued"].endswith("T10:15")
    assert not addendum["issued"].startswith("2021-03-04")
    assert all(len(row["document_sha256"]) == 64 for row in read)
    (nodule,) = store.read(
        "findings", None, [("report_id", "=", addendum["report_id"])]
    ).to_pylist()
    assert (nodule["size_mm"], nodule["prior_size_mm"]) == (4.0, 6.0)
    (joined,) = (
        row
        for row in store.read("study_reports").to_pylist()
        if row["report_id"] == addendum["report_id"]
    )
    assert joined["order"] == 1
    after = tables(second)
    for name in ("volumes", "masks", "splits", "links", "study_reports"):
        kept = json.loads(before[name][0]).keys()  # not the columns that came later
        rows = [{key: json.loads(row)[key] for key in kept} for row in after[name]]
        assert [json.dumps(row, sort_keys=True) for row in rows] == before[name], name


def test_version_2_killed_and_repeated(second: Path, monkeypatch: pytest.MonkeyPatch):
    original = fvlm_data.run.upgrade.rewrite_table

    def killed(store: Store, name: str) -> bool:
        if name == "findings":  # `reports` has got its columns by then
            raise KeyboardInterrupt
        return original(store, name)

    with monkeypatch.context() as patch:
        patch.setattr(fvlm_data.run.upgrade, "rewrite_table", killed)
        with pytest.raises(KeyboardInterrupt):
            upgrade(str(second))
    assert version(second) == 2
    upgrade(str(second))
    store = Store.open(second)
    config = settings_of_version_2(second.parent)
    assert [one for one in verify(store, build_stages(config)) if not one.passed] == []
