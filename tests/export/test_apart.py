"""Pairs that review holds to differ are no partners in what is exported, either."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fvlm_data.export.source import open_source
from fvlm_data.shards.apart import write_apart
from tests.export.conftest import make_store
from tests.export.exporting import exported
from tests.shards.conftest import World
from tests.shards.test_reviewed import judged, undone


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Samples of which two in train differ in the liver, and one of them from one in test."""
    made = make_store(tmp_path_factory.mktemp("held"))
    judged(made, ("pair", "st_00:st_01:liver"), ("pair", "st_01:st_03:spleen"))
    write_apart(made.context)
    return made


def rows(folder: Path) -> list[tuple[str, str, int, list[str]]]:
    """Study, anatomy, signature and the studies apart, as the texts for Hugging Face tell them."""
    names = ("study_id", "anatomy", "signature", "apart")
    return [
        tuple(row[name] for name in names)  # type: ignore[misc]
        for file in sorted(folder.glob("data/*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]


def test_both_forms_name_them_from_either_side(held: World, tmp_path: Path):
    told = rows(exported("huggingface", tmp_path / "hf", held.store.url))
    assert {(study, anatomy): apart for study, anatomy, _, apart in told if apart} == {
        ("st_00", "liver"): ["st_01"],
        ("st_01", "liver"): ["st_00"],
        ("st_01", "spleen"): ["st_03"],
        ("st_03", "spleen"): ["st_01"],
    }
    # without it they would be partners
    livers = {study: signature for study, anatomy, signature, _ in told if anatomy == "liver"}
    assert livers["st_00"] == livers["st_01"] != 0
    records = {}
    for file in exported("webdataset", tmp_path / "wds", held.store.url).glob("*.tar"):
        with tarfile.open(file) as archive:
            for member in archive.getmembers():
                if member.name.endswith(".json"):
                    content = archive.extractfile(member)
                    assert content is not None
                    record = json.load(content)
                    records[record["study_id"]] = record["anatomies"]
    assert all(records[study][anatomy]["apart"] == apart for study, anatomy, _, apart in told)


def test_a_study_that_is_not_exported_is_not_named(held: World, tmp_path: Path):
    told = rows(exported("huggingface", tmp_path / "hf", held.store.url, "--split", "train"))
    assert {(study, anatomy) for study, anatomy, _, apart in told if apart} == {
        ("st_00", "liver"), ("st_01", "liver"),
    }  # fmt: skip
    # a forgotten patient's id would be left in an export that the patient is not in
    assert open_source(held.store.url, ["test"]).apart == {}


def test_what_review_says_is_another_content(held: World):
    reviewed = open_source(held.store.url).content
    undone(held)
    write_apart(held.context)
    plain = open_source(held.store.url)
    assert plain.apart == {}
    assert plain.content != reviewed
    judged(held, ("pair", "st_00:st_01:liver"), ("pair", "st_01:st_03:spleen"))
    write_apart(held.context)
    assert open_source(held.store.url).content == reviewed
