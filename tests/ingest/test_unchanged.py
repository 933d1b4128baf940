"""What discovery leaves alone: a night without changes, and what a killed run has done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from series import Series, write
from test_sources import chest, save, table

from fvlm_data.identity.vault import Vault
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery import discover as module
from fvlm_data.ingest.discovery import mapping
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.discovery.opener import FileLocation
from fvlm_data.ingest.discovery.opener import opened as open_place
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from conftest import Ingested

HU_AFFINE = np.diag([-0.75, -0.75, 1.5, 1.0])


class Watched:
    """Files that were opened, and what was written, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[str] = []
        self.written: list[str] = []
        replace, put, load = Store.replace, Vault._put, mapping.load

        def open_watched(place: FileLocation) -> Any:
            self.opened.append(place.path.name)
            return open_place(place)

        def replace_watched(store: Store, table: str, *rest: Any, **named: Any) -> None:
            self.written.append(table)
            replace(store, table, *rest, **named)

        def put_watched(vault: Vault, table: str, rows: Any) -> None:
            rows = list(rows)
            self.written.extend(f"vault {table}" for _ in rows)
            put(vault, table, iter(rows))

        def load_watched(path: Path, *rest: Any) -> Any:
            self.opened.append(path.name)
            return load(path, *rest)

        monkeypatch.setattr("fvlm_data.ingest.discovery.file_kind.opened", open_watched)
        monkeypatch.setattr("fvlm_data.ingest.discovery.mapping.load", load_watched)
        monkeypatch.setattr(Store, "replace", replace_watched)
        monkeypatch.setattr(Vault, "_put", put_watched)


def both(folder: Path) -> list[SourceConfig]:
    """A folder of DICOM with junk in it, and NIfTI files with a mapping."""
    write(Series().datasets(), folder / "ct")
    (folder / "ct" / "notes.txt").write_text("nothing")
    (folder / "ct" / "gone").symlink_to(folder / "nowhere")
    for name in ("a", "b"):
        save(folder / "nifti" / f"{name}.nii.gz", chest(), HU_AFFINE)
    rows = [{"volume": name, "study": f"S{name}", "patient": "P1"} for name in ("a", "b")]
    described = table(folder / "map.csv", rows)
    return [
        SourceConfig(kind="dicom", path=folder / "ct", name="hospital"),
        SourceConfig(kind="nifti", path=folder / "nifti", name="tree", mapping=described),
    ]


def test_a_night_without_changes_opens_and_writes_nothing(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sources = both(tmp_path / "in")
    first = ingested.run(*sources)
    assert first["files"] == 10
    watched = Watched(monkeypatch)
    counts = ingested.run(*sources)
    assert counts == {"files": 10, "unchanged": 10}
    assert watched.opened == []
    assert watched.written == []


def test_only_what_is_new_is_opened_and_written(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sources = both(tmp_path / "in")
    ingested.run(*sources)
    before = ingested.rows("inputs")
    watched = Watched(monkeypatch)
    write(Series(slices=7).datasets()[6:], tmp_path / "in" / "ct", ["late"])
    counts = discover(ingested.context, sources, "plain")
    assert counts == {"files": 11, "unchanged": 10, "accepted": 1}
    assert watched.opened == ["late"]
    # the source is opened in the ledger, its one file written, and closed
    assert watched.written == ["ledger", "vault files", "inputs", "ledger"]
    assert [row for row in ingested.rows("inputs") if row in before] == before


def test_a_file_that_was_touched_is_read_once_and_redoes_nothing(
    ingested: Ingested, tmp_path: Path
):
    sources = both(tmp_path / "in")
    ingested.run(*sources)
    path = next((tmp_path / "in" / "ct").glob("*.dcm"))
    os.utime(path, ns=(1, 1))
    assert ingested.run(*sources) == {"files": 10, "unchanged": 9, "accepted": 1}
    assert ingested.run(*sources) == {"files": 10, "unchanged": 10}


def test_what_a_stopped_run_has_found_of_a_known_source_stays_known(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (source, _) = both(tmp_path / "in")
    ingested.run(source)
    write(Series(series_uid="1.2.3.6", slices=8).datasets(), tmp_path / "in" / "ct" / "new")
    monkeypatch.setattr(module, "CHUNK_FILES", 2)
    monkeypatch.setattr(module, "COMMIT_FILES", 4)

    def stop(seen: int) -> None:
        if seen >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        discover(ingested.context, [source], "plain", stop)
    known = len(ingested.rows("inputs"))
    assert 8 < known < 16
    watched = Watched(monkeypatch)
    counts = discover(ingested.context, [source], "plain")
    assert counts["unchanged"] == known
    assert len(watched.opened) == 16 - known
    ingested.settle(source)
    ingested.check_conserved()
