"""What `fvlm_data.open_store` gives of a store in a folder; test_store.py has it of a bucket."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

import fvlm_data
import fvlm_data.store.reading
import schemas
from fvlm_data.errors import StoreError
from fvlm_data.store.reading import Part
from fvlm_data.store.relations import Relations
from fvlm_data.store.tables import MARK, Store
from fvlm_data.store.upkeep import compact_table
from schemas import Finding, LedgerRow, Report

FINDINGS = ("nodule", "effusion", "cyst")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store below a folder whose name looks like a partition and a pattern of names."""
    store = Store.create(tmp_path / "split=x a*b" / "store")
    for number, name in enumerate(FINDINGS):  # a commit, and a file, each
        row = Finding(
            report_id=f"r_{number}",
            sentence=number,
            start=0,
            end=6,
            finding=name,
            anatomy="lung",
            status="present" if number else "absent",
            laterality=None,
            severity=None,
            size_mm=4.5 if number == 2 else None,
        )
        store.replace("findings", [row.report_id], [row])
    ledger = [
        LedgerRow(
            stage=stage,
            item=f"00{n}",
            key="k",
            outcome="accepted",
            content="",
            parts="",
            run_id="r",
        )
        for n, stage in enumerate(("segment:total", "o'clock a/b%20", "7"))
    ]
    store.replace_all("ledger", ledger)
    return store


def sections(start: int) -> tuple[dict[str, object], ...]:
    return ({"name": "findings", "start": start, "end": start + 5},)


def test_a_data_frame_of_a_table(store: Store):
    frame = fvlm_data.open_store(store.url).findings.to_pandas()
    assert list(frame.columns) == list(schemas.TABLES["findings"].columns)
    frame = frame.sort_values("report_id")
    assert list(frame["finding"]) == list(FINDINGS)
    assert frame["size_mm"].max() == 4.5
    assert frame["sentence"].dtype == "int32"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.create(tmp_path_factory.mktemp("empty") / "store")


@pytest.mark.parametrize("name", schemas.TABLES)
def test_an_empty_table_has_its_columns_and_types(empty: Store, name: str):
    opened = fvlm_data.open_store(empty.url)
    table = getattr(opened, name)
    assert table.to_arrow().schema.equals(schemas.TABLES[name].schema, check_metadata=True)
    assert list(table.to_pandas().columns) == list(table.columns)
    assert table.relation().columns == list(table.columns)
    assert len(table) == 0


def test_values_of_partitions_are_those_that_were_written(store: Store):
    rows = fvlm_data.open_store(store.url).ledger.to_arrow().to_pylist()
    assert {(row["item"], row["stage"]) for row in rows} == {
        ("000", "segment:total"),
        ("001", "o'clock a/b%20"),
        ("002", "7"),
    }


def test_lists_of_structs_come_back_as_they_were(store: Store):
    report = Report(report_id="r", text="x" * 9, sections=sections(3), source_files=("f", "g"))
    store.replace_all("reports", [report])
    opened = fvlm_data.open_store(store.url)
    assert opened.reports.to_arrow().equals(schemas.TABLES["reports"].to_arrow([report]))


def test_rows_and_columns_can_be_chosen(store: Store):
    findings = fvlm_data.open_store(store.url).findings
    some = findings.select("finding", "size_mm").where("status = 'present'").where("size_mm > 1")
    assert some.columns == ("finding", "size_mm")
    assert some.to_arrow().to_pylist() == [{"finding": "cyst", "size_mm": 4.5}]
    assert len(findings.where("finding = 'nodule' OR finding = 'cyst'").where("size_mm > 1")) == 1


def test_a_relation_can_be_refined(store: Store):
    relation = fvlm_data.open_store(store.url).findings.relation()
    assert relation.filter("sentence > 0").order("finding").project("finding").fetchall() == [
        ("cyst",),
        ("effusion",),
    ]


def test_tables_are_joined_by_sql(store: Store):
    opened = fvlm_data.open_store(store.url)
    query = "SELECT status, count(*) FROM findings WHERE finding NOT IN (SELECT item FROM ledger)"
    counted = opened.sql(f"{query} GROUP BY status ORDER BY status").fetchall()
    assert counted == [("absent", 1), ("present", 2)]


def test_a_column_that_is_named_as_a_table_is_no_table(store: Store):
    shutil.rmtree(store.local_root / "tables" / "findings")
    opened = fvlm_data.open_store(store.url)
    assert len(opened.anatomy_texts.where("len(findings) > 0").to_arrow()) == 0
    pivoted = opened.sql("PIVOT ledger ON outcome USING count(*) GROUP BY run_id")
    assert pivoted.fetchall() == [("r", 3)]


def test_what_is_read_is_the_newest_version(store: Store):
    opened = fvlm_data.open_store(store.url)
    findings = opened.findings
    assert len(findings) == 3
    store.replace("findings", ["r_0"], [])
    assert len(findings) == 2
    compact_table(store, "findings", keep_hours=0)
    assert sorted(findings.to_pandas()["report_id"]) == ["r_1", "r_2"]


def test_a_version_stays_until_its_files_are_removed(store: Store):
    relations = Relations(store)
    count = "SELECT count(*) FROM findings"
    assert relations.rows(count) == [(3,)]
    store.replace("findings", ["r_0"], [])
    assert relations.rows(count) == [(3,)]
    compact_table(store, "findings", keep_hours=0)
    assert relations.rows(count) == [(2,)]


def test_files_that_are_removed_before_they_are_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    listed = fvlm_data.store.reading.parts
    removals = iter(["r_0"])

    def outrun(*asked: Any) -> list[Part]:
        found = listed(*asked)
        for item in removals:
            store.replace("findings", [item], [])
            compact_table(store, "findings", keep_hours=0)
        return found

    monkeypatch.setattr(fvlm_data.store.reading, "parts", outrun)
    rows = fvlm_data.open_store(store.url).findings.to_arrow()
    assert sorted(rows["report_id"].to_pylist()) == ["r_1", "r_2"]


def test_a_table_that_another_program_has_rewritten(store: Store):
    folder = str(store.local_root / "tables" / "findings")
    DeltaTable(folder).delete("finding = 'effusion'")
    DeltaTable(folder).update({"severity": "'mild'"}, predicate="finding = 'cyst'")
    DeltaTable(folder).optimize.compact()
    ledger = str(store.local_root / "tables" / "ledger")
    DeltaTable(ledger).delete("item = '002'")
    opened = fvlm_data.open_store(store.url)
    rows = opened.findings.where("sentence >= 0").to_arrow()
    assert rows.schema.equals(schemas.TABLES["findings"].schema)
    assert {row["finding"]: row["severity"] for row in rows.to_pylist()} == {
        "nodule": None,
        "cyst": "mild",
    }
    assert len(opened.ledger.where("stage = 'segment:total'")) == 1
    assert len(opened.ledger) == 2


def test_a_store_of_an_older_version_is_refused_with_the_way_to_upgrade_it(store: Store):
    mark = json.loads(store.read_bytes(MARK))
    store.write_bytes(MARK, json.dumps({**mark, "version": 1}).encode())
    with pytest.raises(StoreError, match=r"version 1 found, .*run `fvlm-data upgrade --st"):
        fvlm_data.open_store(store.url)


def test_rows_that_are_not_what_the_files_say_are_refused(store: Store):
    log = store.local_root / "tables" / "splits" / "_delta_log"
    lines = (log / f"{0:020}.json").read_text(encoding="utf-8").splitlines()
    protocol = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors"],
        "writerFeatures": ["deletionVectors"],
    }
    changed = [json.dumps({"protocol": protocol}) if '"protocol"' in one else one for one in lines]
    (log / f"{0:020}.json").write_text("\n".join(changed), encoding="utf-8")
    with pytest.raises(
        StoreError, match=r"table splits uses deletionVectors of Delta Lake, .*expe"
    ):
        fvlm_data.open_store(store.url).splits.to_arrow()


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_damaged_table_is_told(store: Store, damage: str):
    opened = fvlm_data.open_store(store.url)
    file = next((store.local_root / "tables" / "findings").glob("*.parquet"))
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match=r"table findings cannot be read .*restore tables/findi"):
        opened.findings.to_pandas()


def test_a_table_that_is_missing_is_told(store: Store):
    shutil.rmtree(store.local_root / "tables" / "findings")
    with pytest.raises(StoreError, match="table findings is missing; the store is damaged"):
        len(fvlm_data.open_store(store.url).findings)


def test_wrong_names_are_told_with_the_nearest(store: Store):
    opened = fvlm_data.open_store(store.url)
    with pytest.raises(AttributeError, match=r"no table findngs; did you mean findings\?"):
        _ = opened.findngs
    with pytest.raises(AttributeError, match="no table xyzzy; expected one of inputs, candidates"):
        _ = opened.xyzzy
    with pytest.raises(StoreError, match="table findings has no column statu; expected status"):
        opened.findings.select("statu")
    with pytest.raises(duckdb.BinderException, match="statu"):
        opened.findings.where("statu = 'x'").to_arrow()


def test_no_store_there(tmp_path: Path):
    with pytest.raises(StoreError, match="no store found there"):
        fvlm_data.open_store(tmp_path)


def test_names_are_offered_and_nothing_else_is_a_public_name(store: Store):
    opened = fvlm_data.open_store(store.url)
    assert set(schemas.TABLES) <= set(dir(opened))
    assert opened.tables == tuple(schemas.TABLES)
    assert "open_store" in dir(fvlm_data)
    with pytest.raises(AttributeError, match="no attribute 'open_shop'"):
        _ = fvlm_data.open_shop


def test_neither_vault_nor_leave_to_write_is_needed(store: Store, vault_folder: Path):
    before = {path: path.stat().st_mtime_ns for path in Path(store.url).rglob("*")}
    store.local_root.chmod(0o500)
    try:
        assert len(fvlm_data.open_store(store.url).findings) == 3
    finally:
        store.local_root.chmod(0o700)
    assert {path: path.stat().st_mtime_ns for path in Path(store.url).rglob("*")} == before
    assert not vault_folder.exists()


def test_no_extension_is_fetched(store: Store):
    """A function of an extension that DuckDB would fetch at first use ends in an error."""
    opened = fvlm_data.open_store(store.url)
    with pytest.raises(duckdb.Error, match=r"spatial|ST_Point"):
        opened.sql("SELECT ST_Point(1, 2) FROM findings")
    settings = opened.sql(
        "SELECT current_setting('autoinstall_known_extensions'), "
        "current_setting('autoload_known_extensions')"
    )
    assert settings.fetchall() == [(False, False)]


def test_what_is_spilled_lies_in_a_private_folder_and_goes(store: Store, tmp_path: Path):
    script = (
        "import sys, fvlm_data\n"
        "opened = fvlm_data.open_store(sys.argv[1])\n"
        "told = opened.sql(\"SELECT current_setting('temp_directory') FROM findings LIMIT 1\")\n"
        "folder = told.fetchall()[0][0]\n"
        "import os; print(oct(os.stat(folder).st_mode & 0o777), folder)"
    )
    spill = tmp_path / "temporary"
    spill.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", script, store.url],
        env={**os.environ, "TMPDIR": str(spill)},
        capture_output=True,
        text=True,
        check=True,
    )
    mode, folder = ended.stdout.split()
    assert mode == "0o700"
    assert Path(folder).parent == spill
    assert list(spill.iterdir()) == []


def test_open_store_is_found_without_being_imported_first():
    script = (
        "import sys, fvlm_data; before = {'duckdb', 'deltalake', 'pyarrow'} & sys.modules.keys()\n"
        "from fvlm_data import open_store\n"
        "print(sorted(before), open_store.__module__)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[] fvlm_data.opened.store"
