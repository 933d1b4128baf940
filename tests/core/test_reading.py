"""Which files of a table are opened for which rows, and that every place and writer is read."""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

import schemas
from fvlm_data import open_store
from fvlm_data.errors import StoreError
from fvlm_data.identity.vault import Vault
from fvlm_data.store.declared import Context, Item, Read, Stage
from fvlm_data.store.gathering import gather
from fvlm_data.store.planning import pending
from fvlm_data.store.reading import Condition, connect, parts
from fvlm_data.store.tables import Store
from schemas import Quarantined, Split, VolumeCheck

ODD = ("with blank", "a*b?", "50%", "task=x", "o'clock", "ü", "stage=toy/inner", "{a,b}#;&")
UNWRITABLE = ("[x]", "%20", "a|b", "a^b", "a\\b", "a\tb")


def split(patient: str, name: str = "train") -> Split:
    return Split(patient_id=patient, split=name, source="hash")


def aside(stage: str, item: str) -> Quarantined:
    return Quarantined(
        kind="fault", stage=stage, item=item, reason="r", detail="d", source_files=()
    )


def delta(store: Store, table: str) -> DeltaTable:
    return DeltaTable(str(Path(store.url, "tables", table)))


@pytest.fixture
def spread(store: Store) -> Store:
    """Three files of splits, of patients a, d and g; four of quarantine, of two stages."""
    for names in ("ab", "de", "gh"):
        store.replace("splits", list(names), [split(name) for name in names])
    for stage in ("ingest", "segment:total"):
        for item in ("i1", "i5"):
            store.replace("quarantine", [item], [aside(stage, item)], {"stage": stage})
    return store


def opened(
    store: Store,
    table: str,
    where: Sequence[Condition] = (),
    among: Mapping[str, Collection[str]] = {},
) -> int:
    """Number of files that may hold rows, of which none that does is left out."""
    found = parts(delta(store, table), where, among)
    column = schemas.TABLES[table].replaced_by
    whole = store.read(table, None, where).to_pylist()
    wanted = {row[column] for row in whole if not among or row[column] in among[column]}
    scanned = store.connect().sql(f"SELECT * FROM ({store.scan(table, where, among)})")
    assert wanted <= set(scanned.to_arrow_table()[column].to_pylist())
    return sum(len(one.paths) for one in found)


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ([], 3),
        ([("patient_id", "=", "a")], 1),
        ([("patient_id", "==", "e")], 1),
        ([("patient_id", "=", "c")], 0),
        ([("patient_id", "in", ["a", "b"])], 1),
        ([("patient_id", "in", ["b", "d"])], 2),
        ([("patient_id", "in", [])], 3),
        ([("patient_id", "!=", "a")], 3),
        ([("patient_id", "not in", ["a", "b"])], 3),
        ([("split", "=", "train")], 3),
        ([("patient_id", "in", ["a", "g"]), ("patient_id", "=", "e")], 1),
    ],
)
def test_files_that_hold_no_wanted_row_are_not_opened(
    spread: Store, where: Sequence[Condition], files: int
):
    assert opened(spread, "splits", where) == files


@pytest.mark.parametrize(("values", "files"), [(["a"], 1), (["a", "h"], 3), (["zz"], 0), ([], 0)])
def test_files_without_any_of_the_values_asked_for_are_not_opened(
    spread: Store, values: list[str], files: int
):
    assert opened(spread, "splits", among={"patient_id": values}) == files


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ([("stage", "=", "segment:total")], 2),
        ([("stage", "=", "segment:total"), ("item", "=", "i1")], 1),
        ([("stage", "in", ["ingest", "segment:total"])], 4),
        ([("stage", "in", ["pair", "segment:total"])], 2),
        ([("stage", "=", "segment")], 0),
    ],
)
def test_files_of_other_partitions_are_not_opened(
    spread: Store, where: Sequence[Condition], files: int
):
    assert opened(spread, "quarantine", where) == files


def test_values_of_a_partition_come_with_its_files(spread: Store):
    found = parts(delta(spread, "quarantine"))
    assert [one.values for one in found] == [{"stage": "ingest"}, {"stage": "segment:total"}]
    assert [len(one.paths) for one in found] == [2, 2]
    folder = Path(spread.url, "tables", "quarantine")
    assert all((folder / path).is_file() for one in found for path in one.paths)


@pytest.mark.parametrize("name", UNWRITABLE)
def test_a_folder_in_which_tables_cannot_be_written_is_refused(
    tmp_path: Path, empty_store: Path, name: str
):
    moved = shutil.copytree(empty_store, tmp_path / name / "store")
    for begin in (Store.create, Store.open):
        with pytest.raises(StoreError, match=r"its path holds .*expected none of"):
            begin(moved)
    with pytest.raises(StoreError, match="its path holds"):
        Store.create(tmp_path / name / "new")
    assert not (tmp_path / name / "new").exists()


@pytest.mark.parametrize("name", ["[x]", "a|b", "a^b"])
def test_a_store_is_read_where_it_cannot_be_written(tmp_path: Path, empty_store: Path, name: str):
    place = shutil.copytree(empty_store, tmp_path / "store")
    Store.open(place).replace("splits", ["a"], [split("a")])
    opened_there = open_store(shutil.copytree(place, tmp_path / name / "store"))
    assert opened_there.splits.to_arrow()["patient_id"].to_pylist() == ["a"]


@pytest.mark.parametrize("name", ODD)
def test_a_store_in_a_folder_of_any_name(tmp_path: Path, empty_store: Path, name: str):
    """Also one that looks like a partition, a pattern of names or an escape of a URL."""
    store = Store.open(shutil.copytree(empty_store, tmp_path / name / "store"))
    store.replace("splits", ["a"], [split("a")])
    store.replace("quarantine", ["i"], [aside("pair", "i")], {"stage": "pair"})
    assert store.read("splits").to_pylist() == [
        {"patient_id": "a", "split": "train", "source": "hash"}
    ]
    assert store.read("quarantine")["stage"].to_pylist() == ["pair"]
    assert store.readable_scan("quarantine")[1] == []


def test_values_of_partitions_may_be_any_text(store: Store):
    for stage in (*ODD, *UNWRITABLE):
        store.replace("quarantine", [f"i {stage}"], [aside(stage, f"i {stage}")], {"stage": stage})
    rows = store.read("quarantine", ["item", "stage"]).to_pylist()
    assert sorted(row["stage"] for row in rows) == sorted((*ODD, *UNWRITABLE))
    assert all(row["item"] == f"i {row['stage']}" for row in rows)
    for stage in (*ODD, *UNWRITABLE):
        assert opened(store, "quarantine", [("stage", "=", stage)]) == 1
        assert store.read("quarantine", ["stage"], [("stage", "=", stage)]).num_rows == 1


@pytest.mark.parametrize("name", schemas.TABLES)
def test_an_empty_table_is_read(store: Store, name: str):
    assert parts(delta(store, name)) == []
    assert store.connect().sql(store.scan(name)).fetchall() == []
    rows = store.read(name, None, [(schemas.TABLES[name].replaced_by, "=", "x")])
    assert rows.schema.equals(schemas.TABLES[name].schema)


def test_a_table_that_deltalake_has_rewritten(spread: Store):
    """Its columns become string_view, and its files other ones."""
    delta(spread, "splits").delete("patient_id = 'd'")
    delta(spread, "splits").update({"split": "'test'"}, predicate="patient_id = 'g'")
    assert spread.read("splits", None, [("patient_id", "in", ["g", "d"])]).to_pylist() == [
        {"patient_id": "g", "split": "test", "source": "hash"}
    ]
    assert spread.read_items("splits", "split", ["test"])[0]["patient_id"] == "g"
    delta(spread, "splits").optimize.compact()
    assert opened(spread, "splits", [("patient_id", "=", "a")]) == 1
    delta(spread, "quarantine").optimize.z_order(["item"])
    assert opened(spread, "quarantine", [("stage", "=", "ingest")]) == 1
    spread.replace("splits", ["a"], [split("a", "validation")])
    left = {row["patient_id"]: row["split"] for row in spread.read("splits").to_pylist()}
    assert left == {"a": "validation", "b": "train", "e": "train", "g": "test", "h": "train"}
    spread.replace("quarantine", ["i1"], [], {"stage": "segment:total"})
    assert spread.count("quarantine") == 3


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_files_that_cannot_be_read_are_told_and_the_others_read(spread: Store, damage: str):
    folder = Path(spread.url, "tables", "quarantine")
    path = parts(delta(spread, "quarantine"), [("stage", "=", "ingest")])[0].paths[0]
    content = (folder / path).read_bytes()
    (folder / path).unlink()
    if damage == "cut":
        (folder / path).write_bytes(content[:-20])
    scanned, lost = spread.readable_scan("quarantine")
    assert lost == [path]
    assert len(spread.connect().sql(scanned).fetchall()) == 3
    assert spread.drop_unreadable("quarantine") == 1
    assert spread.drop_unreadable("quarantine") == 0
    assert spread.read("quarantine").num_rows == 3
    kept = (folder / f"{path}.damaged").exists()
    assert kept is (damage != "gone")


def test_no_extension_is_fetched():
    engine = connect()
    with pytest.raises(duckdb.Error, match=r"delta_scan|delta"):
        engine.sql("SELECT * FROM delta_scan('/nowhere')")
    told = engine.sql("SELECT current_setting('autoinstall_known_extensions')").fetchall()
    assert told == [(False,)]


def test_a_condition_with_an_unknown_operator_is_refused(spread: Store):
    with pytest.raises(ValueError, match="condition on split: operator 'like' is not known"):
        spread.read("splits", None, [("split", "like", "t%")])


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3FileSystem]:
    """An S3-protocol server on the loopback interface."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ALLOW_HTTP", "true")
        S3FileSystem.clear_instance_cache()
        filesystem = S3FileSystem(use_listings_cache=False)
        yield filesystem
    server.stop()


class TestObjectStorage:
    @pytest.fixture
    def remote(self, bucket: S3FileSystem) -> Store:
        name = f"bucket-{secrets.token_hex(6)}"  # servers of one process share their buckets
        bucket.mkdir(name)
        store = Store.create(f"s3://{name}/store")
        for names in ("ab", "gh"):
            store.replace("splits", list(names), [split(name) for name in names])
        for stage in ("segment:total", "a b/%20"):
            store.replace("quarantine", ["i"], [aside(stage, "i")], {"stage": stage})
        return store

    def fetched(self, store: Store) -> list[str]:
        folder = Path(store.tables_folder("splits", ()))
        return sorted(path.name for path in folder.glob("*.parquet"))

    def test_only_files_that_may_hold_wanted_rows_are_fetched(self, remote: Store):
        store = Store.open(remote.url)
        assert store.read("splits", ["patient_id"], [("patient_id", "=", "x")]).num_rows == 0
        assert self.fetched(store) == []
        assert store.read("splits", ["patient_id"], [("patient_id", "=", "a")]).num_rows == 1
        assert len(self.fetched(store)) == 1
        assert store.read("splits").num_rows == 4
        assert len(self.fetched(store)) == 2

    def test_values_of_partitions_may_be_any_text(self, remote: Store):
        stages = Store.open(remote.url).read("quarantine", ["stage"])["stage"].to_pylist()
        assert sorted(stages) == ["a b/%20", "segment:total"]

    def test_a_file_that_is_gone_is_told(self, remote: Store, vault_folder: Path):
        store = Store.open(remote.url)
        context = Context(store, Vault.open(vault_folder), "run")
        stage = Stage(
            name="toy",
            version=1,
            settings={},
            tables=("volume_checks",),
            items="SELECT patient_id AS item FROM splits",
            reads=(Read("split", "splits", "patient_id", ("split",)),),
            make=lambda batch: iter(()),
            batch_size=4,
        )
        log = DeltaTable(f"{remote.url}/tables/splits")
        path = parts(log, [("patient_id", "=", "a")])[0].paths[0]
        store.remove(f"tables/splits/{path}")
        with pytest.raises(StoreError, match=r"one of the tables .*splits.* cannot be read"):
            pending(context, stage)
        with pytest.raises(StoreError, match="one of the tables splits cannot be read"):
            gather(context, stage, [Item("a", "key")])
        _, lost = store.readable_scan("splits")
        assert lost == [path]


def test_rows_of_a_table_with_lists_come_back_from_any_of_its_files(store: Store):
    for name, flags in (("v1", ()), ("v2", ("a", "b"))):
        row = VolumeCheck(volume_id=name, body_region="chest", contrast="unknown", flags=flags)
        store.replace("volume_checks", [name], [row])
    found = {row["volume_id"]: row["flags"] for row in store.read("volume_checks").to_pylist()}
    assert found == {"v1": [], "v2": ["a", "b"]}
