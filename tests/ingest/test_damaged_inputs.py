"""Rows of discovery that were lost or changed: found, mended, and nothing made of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from series import Series, write
from test_sources import chest, save, table
from test_unchanged import HU_AFFINE

from fvlm_data.identity.vault import Vault
from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.discovery import discover as module
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.stage import ingest_stage
from fvlm_data.store.declared import Context
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from conftest import Ingested


def opened(ingested: Ingested, name: str) -> DeltaTable:
    return DeltaTable(str(ingested.folder / "store" / "tables" / name))


def update(table: str, column: str, value: str, where: str) -> Callable[[Ingested], None]:
    """Change a column of rows as another program would, through Delta."""

    def damage(ingested: Ingested) -> None:
        told = opened(ingested, table).update(predicate=where, updates={column: value})
        assert told["num_updated_rows"] > 0

    return damage


def delete(table: str, where: str) -> Callable[[Ingested], None]:
    def damage(ingested: Ingested) -> None:
        assert opened(ingested, table).delete(where)["num_deleted_rows"] > 0

    return damage


def double(table: str, column: str, value: str) -> Callable[[Ingested], None]:
    def damage(ingested: Ingested) -> None:
        rows = ingested.context.store.read(table, None, [(column, "=", value)])
        bare = pa.schema([field.remove_metadata() for field in rows.schema])
        write_deltalake(opened(ingested, table), rows.cast(bare), mode="append")

    return damage


def lose_files(table: str, partition: str) -> Callable[[Ingested], None]:
    """Parquet files of a partition are gone."""

    def damage(ingested: Ingested) -> None:
        folder = ingested.folder / "store" / "tables" / table / partition
        for path in folder.glob("*.parquet"):
            path.unlink()

    return damage


ONE = "kind = 'file' AND token = 'hospital/{}'"
DAMAGE: dict[str, Callable[[Ingested], None]] = {
    "fingerprint": update("inputs", "fingerprint", "'x'", ONE.format("0000.dcm")),
    "series": update("inputs", "item", "'se_x'", ONE.format("0001.dcm")),
    "source": update("inputs", "source", "'x'", ONE.format("0001.dcm")),
    "token": update("inputs", "token", "'hospital/x'", ONE.format("0002.dcm")),
    "row lost": delete("inputs", ONE.format("0003.dcm")),
    "row doubled": double("inputs", "token", "hospital/0003.dcm"),
    "files lost": lose_files("inputs", "kind=file"),
    "reason": update("quarantine", "reason", "'x'", "stage = 'discover'"),
    "item set aside": update("quarantine", "item", "'hospital/x'", "stage = 'discover'"),
    "reason lost": delete("quarantine", "stage = 'discover'"),
    "mapping changed": update(
        "inputs", "fingerprint", "'x'", "kind = 'mapping' AND item IS NOT NULL"
    ),
    "mapping of another series": update(
        "inputs", "item", "'se_x'", "kind = 'mapping' AND item IS NOT NULL"
    ),
    "mapping token": update("inputs", "token", "'f_x'", "kind = 'mapping' AND item IS NOT NULL"),
    "mapping lost": delete("inputs", "kind = 'mapping'"),
}


def sources(folder: Path) -> list[SourceConfig]:
    write(Series().datasets(), folder / "ct", [f"{n:04}.dcm" for n in range(6)])
    (folder / "ct" / "notes.txt").write_text("nothing")
    save(folder / "nifti" / "a.nii.gz", chest(), HU_AFFINE)
    table(folder / "map.csv", [{"volume": "a", "study": "S1", "patient": "P1"}])
    return told_sources(folder)


def told_sources(folder: Path) -> list[SourceConfig]:
    mapping = folder / "map.csv"
    return [
        SourceConfig(kind="dicom", path=folder / "ct", name="hospital"),
        SourceConfig(kind="nifti", path=folder / "nifti", name="tree", mapping=mapping),
    ]


@pytest.fixture(scope="module")
def whole(
    make_ingested: Callable[[Path], Ingested], tmp_path_factory: pytest.TempPathFactory
) -> Ingested:
    """A store of the sources that lie in its folder, to be copied before it is damaged."""
    ingested = make_ingested(tmp_path_factory.mktemp("whole"))
    ingested.run(*sources(ingested.folder / "in"))
    return ingested


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_mended_before_anything_is_made_of_it(
    whole: Ingested, tmp_path: Path, name: str
):
    where = told_sources(whole.folder / "in")
    for part in ("store", "secrets"):
        shutil.copytree(whole.folder / part, tmp_path / part)
    context = Context(Store.open(tmp_path / "store"), Vault.open(tmp_path / "secrets"), "run")
    ingested = replace(whole, folder=tmp_path, context=context)
    tables = ("inputs", "quarantine", "candidates")
    before = {table: ingested.rows(table) for table in tables}
    DAMAGE[name](ingested)
    discover(ingested.context, where, "plain")
    assert {table: ingested.rows(table) for table in tables} == before
    assert pending(ingested.context, ingest_stage(IngestConfig(), where)).batches == ()
    assert discover(ingested.context, where, "plain") == {"files": 8, "unchanged": 8}


def test_a_series_told_as_another_ones_is_put_right(ingested: Ingested, tmp_path: Path):
    """The row of one series of a mapping comes to stand under the other."""
    folder = tmp_path / "in"
    for name in ("a", "b"):
        save(folder / f"{name}.nii.gz", chest(), HU_AFFINE)
    rows = [{"volume": name, "study": name, "patient": name} for name in ("a", "b")]
    source = SourceConfig(
        kind="nifti", path=folder, name="tree", mapping=table(tmp_path / "map.csv", rows)
    )
    ingested.run(source)
    before = ingested.rows("inputs")
    first, second = sorted(r["item"] for r in before if r["kind"] == "mapping" and r["item"])
    for one, other in ((first, second), (second, first)):
        where = f"kind = 'mapping' AND item = '{one}'"
        update("inputs", "item", f"'{other}'", where)(ingested)
        discover(ingested.context, [source], "plain")
        assert ingested.rows("inputs") == before


def test_mending_that_is_stopped_is_begun_anew(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    where = sources(tmp_path / "in")
    ingested.run(*where)
    before = ingested.rows("inputs")
    DAMAGE["fingerprint"](ingested)
    DAMAGE["row lost"](ingested)
    monkeypatch.setattr(module, "CHUNK_FILES", 2)
    monkeypatch.setattr(module, "COMMIT_FILES", 2)

    def stop(seen: int) -> None:
        if seen >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        discover(ingested.context, where, "plain", stop)
    assert ingested.rows("inputs") != before
    discover(ingested.context, where, "plain")
    assert ingested.rows("inputs") == before


def test_a_damaged_source_of_an_earlier_run_is_mended_too(ingested: Ingested, tmp_path: Path):
    first, second = sources(tmp_path / "in")
    ingested.run(first, second)
    before = ingested.rows("inputs")
    DAMAGE["series"](ingested)
    discover(ingested.context, [second], "plain")
    assert ingested.rows("inputs") == before


def test_a_series_whose_rows_are_lost_for_now_is_left_as_it_is(
    ingested: Ingested, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    first, second = sources(tmp_path / "in")
    ingested.run(first, second)
    volumes, inputs = ingested.volumes(), ingested.rows("inputs")
    shutil.move(tmp_path / "in" / "ct", tmp_path / "away")
    DAMAGE["row lost"](ingested)
    counts = ingested.run(second)
    assert counts["held"] == 1
    assert ingested.volumes() == volumes
    assert "source hospital: cannot be read again" in caplog.text
    delete("inputs", "source = 'hospital'")(ingested)
    assert ingested.run(second)["held"] == 1
    assert ingested.volumes() == volumes
    shutil.move(tmp_path / "away", tmp_path / "in" / "ct")
    counts = ingested.run(second)
    assert counts["held"] == 0
    assert ingested.volumes() == volumes
    assert ingested.rows("inputs") == inputs


def test_no_path_of_a_damaged_source_is_logged(
    ingested: Ingested, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    ingested.naming = "token"
    write(Series().datasets(), tmp_path / "in", [f"Mustermann{n}" for n in range(6)])
    source = SourceConfig(kind="dicom", path=tmp_path / "in", name="hospital")
    ingested.run(source)
    update("inputs", "fingerprint", "'x'", "kind = 'file'")(ingested)
    ingested.run(source)
    assert "its rows in table inputs were damaged" in caplog.text
    assert "Mustermann" not in caplog.text
