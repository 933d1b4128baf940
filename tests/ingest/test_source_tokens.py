"""Names and places of sources: tokens in the store, and an older store is taken over."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from conftest import Ingested
from pydicom.dataset import Dataset
from series import Series, write
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.identity.ids import source_token
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery import file_kind
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.records import last_configuration
from fvlm_data.store.discovered import changed_sources, rename_sources
from fvlm_data.store.tables import Store

SECRET = "Mustermann ward"


def sources_of(ingested: Ingested) -> set[str]:
    rows = [*ingested.rows("inputs"), *ingested.rows("ledger")]
    return {row.get("source") or row["item"] for row in rows}


def test_a_source_stands_as_a_token(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / SECRET)
    source = SourceConfig(kind="dicom", path=tmp_path / SECRET)
    discover(ingested.context, [source], "token")
    key = ingested.context.vault.key
    assert sources_of(ingested) == {source_token(key, "token", SECRET)}
    discover(ingested.context, [source], "plain")
    assert SECRET in sources_of(ingested)


def test_sources_of_an_older_store_are_renamed_and_no_file_is_opened(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(Series().datasets(), tmp_path / SECRET)
    source = SourceConfig(kind="dicom", path=tmp_path / SECRET)
    context = ingested.context
    discover(context, [source], "token")
    before = ingested.rows("inputs")
    token = source_token(context.vault.key, "token", SECRET)
    rename_sources(context, "discover", "file", {token: SECRET})
    assert {row["source"] for row in ingested.rows("inputs")} == {SECRET}
    assert changed_sources(context, "discover", "file") == set()

    def fail(*_: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(file_kind, "opened", fail)
    counts = discover(context, [source], "token")
    assert counts["files"] == counts["unchanged"] == 6
    assert ingested.rows("inputs") == before
    assert sources_of(ingested) == {token}
    assert changed_sources(context, "discover", "file") == set()


def test_damage_of_a_renamed_source_stays_known_and_is_mended(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / SECRET)
    source = SourceConfig(kind="dicom", path=tmp_path / SECRET)
    context = ingested.context
    discover(context, [source], "token")
    before = ingested.rows("inputs")
    token = source_token(context.vault.key, "token", SECRET)
    rename_sources(context, "discover", "file", {token: SECRET})
    context.store.replace("inputs", [before[0]["token"]], [], {"kind": "file"})
    rename_sources(context, "discover", "file", {SECRET: token})
    assert changed_sources(context, "discover", "file") == {token}
    discover(context, [source], "token")
    assert ingested.rows("inputs") == before
    assert changed_sources(context, "discover", "file") == set()


def test_places_stand_as_tokens_and_commands_go_on_from_them(tmp_path: Path):
    archive = tmp_path / SECRET
    write(Series().datasets(), archive)
    values = {
        "store": str(tmp_path / "store"),
        "identity": {"vault": str(tmp_path / "vault")},
        "sources": [{"kind": "dicom", "path": str(archive)}],
        "reports": [],
    }
    curate(load_config(values=values), ["ingest"])
    store = Store.open(tmp_path / "store")
    for path in ("config.yaml", *store.files("runs")):
        assert b"Mustermann" not in store.read_bytes(path)
    assert last_configuration(store)["sources"][0]["path"] == str(archive)
    write(Series(series_uid="1.2.3.4.6", seed=2).datasets(), archive / "more")
    named = ["--store", str(tmp_path / "store")]
    done = CliRunner().invoke(app, ["ingest", str(archive), *named])
    assert done.exit_code == 0, done.output
    assert store.count("candidates") == 2
    told = CliRunner().invoke(app, ["vault", "places", *named])
    assert str(archive) in told.output
    values["identity"] = {"vault": str(tmp_path / "vault"), "source_names": "plain"}
    curate(load_config(values=values), ["ingest"])
    written = yaml.safe_load(store.read_bytes("config.yaml"))
    assert written["sources"][0]["path"] == str(archive)


def test_without_the_vault_tokens_stay(tmp_path: Path):
    write(Series().datasets(), tmp_path / SECRET)
    values = {
        "store": str(tmp_path / "store"),
        "identity": {"vault": str(tmp_path / "vault")},
        "sources": [{"kind": "dicom", "path": str(tmp_path / SECRET)}],
    }
    curate(load_config(values=values), ["ingest"])
    (tmp_path / "vault").rename(tmp_path / "elsewhere")
    path = last_configuration(Store.open(tmp_path / "store"))["sources"][0]["path"]
    assert path.startswith("f_")
    assert not (tmp_path / "vault").exists()


@pytest.mark.parametrize("refusal", ["burned in", "capture", "MR"])
def test_names_of_refused_files_reach_the_vault(ingested: Ingested, tmp_path: Path, refusal: str):
    def changed(one: Dataset) -> Dataset:
        if refusal == "burned in":
            one.BurnedInAnnotation = "YES"
        elif refusal == "MR":
            one.Modality = "MR"
        else:
            capture = "1.2.840.10008.5.1.4.1.1.7"
            one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = capture
        return one

    write([changed(one) for one in Series().datasets()], tmp_path / "archive")
    discover(ingested.context, [SourceConfig(kind="dicom", path=tmp_path / "archive")], "token")
    marks = ingested.rows("identity_marks")
    owners = {row["owner_id"] for row in marks}
    known = ingested.context.vault.patient_identities(owners)
    if refusal == "MR":
        assert marks == []
        return
    assert len(marks) == 6 * len(owners)
    assert all("Mustermann Erika" in names for names in known.values())
    assert len(known) >= 3
