"""Rows of a mapping CSV as inputs: each decides about its own series alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_sources import chest, save, table
from test_unchanged import HU_AFFINE

from fvlm_data.errors import InputError
from fvlm_data.ingest.config import IngestConfig, SourceConfig
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.stage import ingest_stage
from fvlm_data.store.planning import pending

if TYPE_CHECKING:
    from conftest import Ingested

NAMES = ("a", "b", "c")


def rows(**patients: str) -> list[dict[str, Any]]:
    return [
        {"volume": name, "study": f"S{name}", "patient": patients.get(name, "P1")} for name in NAMES
    ]


@pytest.fixture
def source(tmp_path: Path) -> SourceConfig:
    for number, name in enumerate(NAMES):
        save(tmp_path / "in" / f"{name}.nii.gz", chest(seed=number), HU_AFFINE)
    mapping = table(tmp_path / "map.csv", rows())
    return SourceConfig(kind="nifti", path=tmp_path / "in", name="tree", mapping=mapping)


def mapped(ingested: Ingested) -> dict[str, str]:
    """Fingerprints of the mapping's rows by series."""
    found = [row for row in ingested.rows("inputs") if row["kind"] == "mapping" and row["item"]]
    assert len(found) == len({row["item"] for row in found})
    return {row["item"]: row["fingerprint"] for row in found}


def due(ingested: Ingested, source: SourceConfig) -> set[str]:
    stage = ingest_stage(IngestConfig(), [source])
    return {item.id for batch in pending(ingested.context, stage).batches for item in batch}


def test_each_series_has_a_row_that_tells_nothing(ingested: Ingested, source: SourceConfig):
    ingested.run(source)
    fingerprints = mapped(ingested)
    assert fingerprints.keys() == {row["series_id"] for row in ingested.volumes()}
    assert len(set(fingerprints.values())) == 3
    assert all(len(one) == 64 for one in fingerprints.values())
    ledger = [row for row in ingested.rows("ledger") if row["stage"] == "ingest"]
    assert all("mapping.fingerprint=" in row["parts"] for row in ledger)


def test_a_changed_row_remakes_its_series_alone(ingested: Ingested, source: SourceConfig):
    ingested.run(source)
    before, old = mapped(ingested), {row["series_id"]: row for row in ingested.volumes()}
    assert source.mapping is not None
    table(source.mapping, rows(b="P22"))
    discover(ingested.context, [source], "plain")
    after = mapped(ingested)
    (changed,) = (series for series in before if after[series] != before[series])
    assert due(ingested, source) == {changed}
    ingested.settle(source)
    new = {row["series_id"]: row for row in ingested.volumes()}
    assert new[changed]["patient_id"] != old[changed]["patient_id"]
    assert all(new[series] == old[series] for series in before if series != changed)


def test_a_mapping_that_was_only_touched_or_put_in_another_order_changes_nothing(
    ingested: Ingested, source: SourceConfig
):
    ingested.run(source)
    before = mapped(ingested)
    assert source.mapping is not None
    os.utime(source.mapping, ns=(1, 1))
    discover(ingested.context, [source], "plain")
    table(source.mapping, rows()[::-1])
    discover(ingested.context, [source], "plain")
    assert mapped(ingested) == before
    assert due(ingested, source) == set()


def test_a_series_without_a_row_gets_its_volume_when_the_row_comes(
    ingested: Ingested, source: SourceConfig
):
    assert source.mapping is not None
    table(source.mapping, rows()[:2])
    ingested.run(source)
    assert ingested.reasons() == {"fault:not_in_mapping": 1}
    assert "not mapped" in mapped(ingested).values()
    table(source.mapping, rows())
    ingested.run(source)
    assert len(ingested.volumes()) == 3
    assert ingested.reasons() == {}


def test_a_new_file_is_looked_up_in_a_mapping_that_stayed_as_it_was(
    ingested: Ingested, source: SourceConfig, tmp_path: Path
):
    hidden = tmp_path / "c.nii.gz"
    (tmp_path / "in" / "c.nii.gz").rename(hidden)
    ingested.run(source)
    assert len(mapped(ingested)) == 2
    hidden.rename(tmp_path / "in" / "c.nii.gz")
    ingested.run(source)
    assert len(mapped(ingested)) == 3
    assert len(ingested.volumes()) == 3


def test_a_mapping_that_is_taken_away_leaves_the_volumes_without_it(
    ingested: Ingested, source: SourceConfig
):
    ingested.run(source)
    bare = source.model_copy(update={"mapping": None})
    ingested.run(bare)
    assert mapped(ingested) == {}
    assert len({row["patient_id"] for row in ingested.volumes()}) == 3
    assert due(ingested, bare) == set()


def test_a_file_that_is_no_volume_any_more_loses_its_row(
    ingested: Ingested, source: SourceConfig, tmp_path: Path
):
    ingested.run(source)
    (tmp_path / "in" / "c.nii.gz").write_bytes(b"")
    ingested.run(source)
    assert mapped(ingested).keys() == {row["series_id"] for row in ingested.volumes()}
    assert len(mapped(ingested)) == 2
    ingested.check_conserved()


def test_a_mapping_that_is_gone_stops_the_run_with_one_sentence(
    ingested: Ingested, source: SourceConfig
):
    ingested.run(source)
    before = ingested.rows("inputs")
    assert source.mapping is not None
    source.mapping.unlink()
    with pytest.raises(InputError, match=r"mapping .*map.csv: cannot be read \(FileNotFound"):
        ingested.run(source)
    assert ingested.rows("inputs") == before
