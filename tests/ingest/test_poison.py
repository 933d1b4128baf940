"""Files that hang, crash or eat the memory of who reads them; in full: tests/e2e/test_poison.py."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from series import Series, write

from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.inspect.why import why
from fvlm_data.isolation.limits import Limits
from fvlm_data.isolation.workers import Workers
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.records import Summary, open_context
from fvlm_data.run.stages import build_stages
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from conftest import Ingested

HOOK = Path(__file__).resolve().parents[1] / "isolation" / "hook"
STAGES = ["ingest", "select"]
SERIES = 4
FIRST, DEADLY = "1.2.3.0", "1.2.3.1"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for number in range(SERIES):
        of = {"patient_id": f"P-{number}", "study_uid": f"1.2.4.{number}", "seed": number}
        series = Series(series_uid=f"1.2.3.{number}", **of)
        write(series.datasets(), tmp_path / "archive" / f"1.2.3.{number}")
    return tmp_path / "archive"


def poison(patch: pytest.MonkeyPatch, **deeds: list[str]) -> None:
    """Deadly for the processes that are started from now on."""
    patch.setenv("FVLM_TEST_POISON", json.dumps(deeds))
    patch.setenv("PYTHONPATH", os.pathsep.join([str(HOOK), os.environ.get("PYTHONPATH", "")]))


def config(archive: Path, name: str = "store", **limits: Any) -> Config:
    values = {
        "store": str(archive.with_name(name)),
        "sources": [{"kind": "dicom", "path": str(archive), "name": "hospital"}],
        "identity": {"source_names": "plain"},
        "execution": {"limits": limits},
    }
    return load_config(None, (), values)


def rows(config: Config, table: str) -> set[str]:
    found = Store.open(config.store).read(table).to_pylist()
    return {json.dumps(row, sort_keys=True, default=str) for row in found}


def reasons(summary: Summary) -> set[str]:
    return {name.removeprefix("fault:") for name in summary.set_aside}


def test_a_deadly_header_is_set_aside_and_no_other(
    archive: Path,
    ingested: Ingested,
    make_ingested: Callable[[Path], Ingested],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    source = SourceConfig(kind="dicom", path=archive, name="hospital")
    clean = make_ingested(tmp_path / "clean")
    discover(clean.context, [source], "plain")
    limits = Limits(seconds=600)
    with monkeypatch.context() as patch, Workers(1) as workers:
        poison(patch, header=["crash", f"{DEADLY}/0000.dcm"])
        isolated = replace(ingested.context, workers=workers)
        discover(isolated, [source], "plain", limits=limits)
    (row,) = ingested.rows("quarantine")
    assert row["reason"] == "crashed"
    assert row["source_files"] == [f"hospital/{DEADLY}/0000.dcm"]
    assert "ended by SIGSEGV, twice and alone" in row["detail"]
    without = ("token", "fingerprint")
    stand, wanted = (
        {tuple(row[n] for n in without) for row in one.rows("inputs")} for one in (ingested, clean)
    )
    assert len(wanted - stand) == 1

    # what is set aside rests, even where it would do no harm now
    counts = discover(ingested.context, [source], "plain", limits=limits)
    assert counts == {"files": 6 * SERIES, "unchanged": 6 * SERIES}
    counts = discover(replace(ingested.context, retry=True), [source], "plain", limits=limits)
    assert counts["accepted"] == 1
    assert ingested.rows("quarantine") == []


def test_deadly_pixels_stop_no_run(archive: Path, monkeypatch: pytest.MonkeyPatch):
    clean, limited = config(archive, "clean"), config(archive)
    curate(clean, ["ingest"])
    with monkeypatch.context() as patch:
        poison(patch, pixels=["crash", DEADLY])
        summary = curate(limited, ["ingest"], isolate=True)
    assert summary.set_aside == {"fault:crashed": 1}
    assert summary.stages["ingest"]["accepted"] == SERIES - 1
    assert len(rows(clean, "candidates") - rows(limited, "candidates")) == 1
    (row,) = Store.open(limited.store).read("quarantine").to_pylist()
    assert len(row["source_files"]) == 6
    # what it was tried under is no input of it
    changed = limited.model_copy(update={"ingest": IngestConfig(min_slices=4)})
    context = open_context(changed, create=False)
    (told,) = why(context, changed, build_stages(changed, ["ingest"]), row["item"])
    assert told.reasons == ("setting ingest.min_slices",)
    assert "ended by SIGSEGV, twice and alone" in row["detail"]

    assert curate(limited, ["ingest"]).set_aside == {"fault:crashed": 1}
    assert not curate(limited, ["ingest"], retry=True).set_aside
    assert rows(limited, "candidates") == rows(clean, "candidates")


@pytest.mark.full
def test_another_limit_of_memory_tries_again(archive: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        poison(patch, header=["eat", f"{FIRST}/0000.dcm"], pixels=["eat", DEADLY])
        limited = config(archive, discover={"memory_mb": 900}, ingest={"memory_mb": 1500})
        assert curate(limited, STAGES, isolate=True).set_aside["fault:out_of_memory"] == 2
    assert curate(limited, STAGES).set_aside["fault:out_of_memory"] == 2
    more = config(archive, discover={"memory_mb": 2900}, ingest={"memory_mb": 3500})
    assert not reasons(curate(more, STAGES))


@pytest.mark.full
def test_another_version_tries_again(archive: Path, monkeypatch: pytest.MonkeyPatch):
    limited = config(archive)
    with monkeypatch.context() as patch:
        poison(patch, header=["crash", f"{FIRST}/0000.dcm"], pixels=["crash", DEADLY])
        assert curate(limited, STAGES, isolate=True).set_aside["fault:crashed"] == 2
    monkeypatch.setattr("fvlm_data.run.curate.versions_mark", lambda: "of another program")
    assert not reasons(curate(limited, STAGES))
