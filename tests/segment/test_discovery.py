from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fvlm_data.segment import discovery
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.discovery import discover_masks
from fvlm_data.segment.stage import segment_stage
from fvlm_data.segment.waiting import volumes_without_mask
from fvlm_data.store.commits import settle
from fvlm_data.store.planning import pending
from fvlm_data.vocabulary import Vocabulary
from schemas import Input

EN = Vocabulary.load()
TABLES = ("inputs", "quarantine", "ledger", "masks", "files")


def labels(value: int = 5) -> np.ndarray[Any, Any]:
    found = np.zeros((10, 12, 8), np.uint8)
    found[6:10, 6:9, 1:7] = value
    return found


def image(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(-100, 100, (10, 12, 8)).astype(np.int16)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir()
    return folder


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the mask files that discovery hashes."""
    names: list[str] = []
    real = discovery._sha256

    def counted(mask: Any) -> str:
        names.append(mask.path.name)
        return real(mask)

    monkeypatch.setattr(discovery, "_sha256", counted)
    return names


def config(masks: Path, **settings: Any) -> SegmentConfig:
    values = {"classes": "totalsegmentator_v2", **settings}
    return SegmentConfig(backend="precomputed", masks=masks, **values)


def two_volumes(bench: Any, kit: SimpleNamespace, masks: Path) -> dict[str, str]:
    ids = {}
    for seed, name in enumerate(("a", "b")):
        ids[name] = bench.add_volume(image(seed), kit.ras, volume_name=name)
        kit.save(masks / f"{name}.nii.gz", labels(), kit.ras)
    return ids


def offered(bench: Any) -> dict[str | None, dict[str, Any]]:
    return {row["item"]: row for row in bench.rows("inputs")}


def test_masks_as_before_are_neither_opened_nor_written(
    bench: Any, kit: SimpleNamespace, masks: Path, hashed: list[str]
):
    two_volumes(bench, kit, masks)
    kit.save(masks / "nobody.nii.gz", labels(), kit.ras)
    counts = discover_masks(bench.context, config(masks), EN, "token")
    assert counts == {
        "masks": 3,
        "accepted": 2,
        "set_aside": 1,
        "fault:mask_without_volume": 1,
    }
    assert sorted(hashed) == ["a.nii.gz", "b.nii.gz"]
    bench.segment(config(masks))
    hashed.clear()
    before = {table: bench.context.store.version(table) for table in TABLES}
    assert discover_masks(bench.context, config(masks), EN, "token") == {"masks": 3, "unchanged": 3}
    assert bench.segment(config(masks)) == 0
    assert hashed == []
    assert {table: bench.context.store.version(table) for table in TABLES} == before


def test_only_a_changed_mask_is_read_and_only_its_volume_made_anew(
    bench: Any, kit: SimpleNamespace, masks: Path, hashed: list[str]
):
    ids = two_volumes(bench, kit, masks)
    bench.segment(config(masks))
    hashed.clear()
    kit.save(masks / "b.nii.gz", labels(1), kit.ras)
    os.utime(masks / "b.nii.gz", ns=(1, 1))
    assert bench.segment(config(masks)) == 1
    assert hashed == ["b.nii.gz"]
    classes = {row["volume_id"]: row["class_name"] for row in bench.rows("masks")}
    assert classes == {ids["a"]: "liver", ids["b"]: "spleen"}
    os.utime(masks / "b.nii.gz", ns=(2, 2))  # copied anew: the same bytes
    assert bench.segment(config(masks)) == 0


def test_a_changed_class_map_makes_masks_anew_without_reading_them_at_discovery(
    bench: Any, kit: SimpleNamespace, masks: Path, hashed: list[str]
):
    two_volumes(bench, kit, masks)
    (masks / "map.yaml").write_text("class_system: anatomy\nclasses: {5: liver}\n")
    bench.segment(config(masks, classes="map.yaml"))
    hashed.clear()
    (masks / "map.yaml").write_text("class_system: anatomy\nclasses: {5: spleen}\n")
    assert bench.segment(config(masks, classes="map.yaml")) == 2
    assert hashed == []
    assert {row["class_name"] for row in bench.rows("masks")} == {"spleen"}


def test_a_batch_lists_no_folder(
    bench: Any, kit: SimpleNamespace, masks: Path, monkeypatch: pytest.MonkeyPatch
):
    two_volumes(bench, kit, masks)
    discover_masks(bench.context, config(masks), EN, "token")

    def listed(*_: Any) -> Any:
        raise AssertionError("a folder was listed")

    for name in ("rglob", "glob", "iterdir"):
        monkeypatch.setattr(Path, name, listed)
    stage = segment_stage(config(masks), EN)
    (batch,) = pending(bench.context, stage).batches
    assert settle(bench.context, stage, batch)["accepted"] == 2


@pytest.mark.parametrize("change", ["removed", "written anew", "class map"])
def test_a_mask_that_changes_after_discovery_is_tried_again(
    bench: Any, kit: SimpleNamespace, masks: Path, change: str
):
    volume = bench.add_volume(image(0), kit.ras, volume_name="a")
    kit.save(masks / "a.nii.gz", labels(), kit.ras)
    (masks / "map.yaml").write_text("class_system: anatomy\nclasses: {5: liver}\n")
    settings = config(masks, classes="map.yaml")
    discover_masks(bench.context, settings, EN, "token")
    if change == "removed":
        (masks / "a.nii.gz").rename(masks / "later.nii.gz")
    elif change == "written anew":
        kit.save(masks / "a.nii.gz", labels()[::-1], kit.ras)
    else:
        (masks / "map.yaml").write_text("class_system: anatomy\nclasses: {5: spleen}\n")
    assert bench.run(segment_stage(settings, EN)) == 1
    assert bench.reasons() == {volume: "mask_missing"}
    assert bench.rows("masks") == []
    if change == "removed":
        (masks / "later.nii.gz").rename(masks / "a.nii.gz")
    assert bench.segment(settings) == 1
    assert bench.reasons() == {}
    assert len(bench.rows("masks")) == 1


@pytest.mark.parametrize("damage", ["fingerprint", "item", "lost", "quarantine"])
def test_damaged_rows_of_discovery_are_written_anew(
    bench: Any, kit: SimpleNamespace, masks: Path, damage: str
):
    two_volumes(bench, kit, masks)
    kit.save(masks / "nobody.nii.gz", labels(), kit.ras)
    bench.segment(config(masks))
    before = {table: sorted(map(str, bench.rows(table))) for table in ("inputs", "quarantine")}
    row = Input(**next(row for row in bench.rows("inputs") if row["item"]))
    store = bench.context.store
    if damage == "quarantine":
        store.replace_all("quarantine", [])
    else:
        digest = "0" * 64
        changed = {
            "fingerprint": [replace(row, fingerprint=digest + row.fingerprint[64:])],
            "item": [replace(row, item=None)],
            "lost": [],
        }[damage]
        store.replace("inputs", [row.token], changed, {"kind": "mask"})
    assert bench.segment(config(masks)) == 0
    now = {table: sorted(map(str, bench.rows(table))) for table in ("inputs", "quarantine")}
    assert now == before


def test_a_bad_mask_that_is_taken_away_leaves_its_volume_waiting(
    bench: Any, kit: SimpleNamespace, masks: Path
):
    ids = two_volumes(bench, kit, masks)
    kit.save(masks / "again" / "a.nii.gz", labels(), kit.ras)
    bench.segment(config(masks))
    assert bench.reasons() == {ids["a"]: "mask_ambiguous"}
    (masks / "again" / "a.nii.gz").unlink()
    assert bench.segment(config(masks)) == 1
    assert bench.reasons() == {}
    kit.save(masks / "a.nii.gz", labels().astype(np.float32) / 2, kit.ras)
    bench.segment(config(masks))
    assert bench.reasons() == {ids["a"]: "mask_not_labels"}
    (masks / "a.nii.gz").unlink()
    bench.segment(config(masks))
    assert bench.reasons() == {}
    assert volumes_without_mask(bench.context, "total") == {ids["a"]}
    assert set(offered(bench)) == {ids["b"]}


def test_a_volume_whose_mask_is_gone_stays_under_other_settings_and_leaves_with_its_series(
    bench: Any, kit: SimpleNamespace, masks: Path
):
    ids = two_volumes(bench, kit, masks)
    bench.segment(config(masks))
    (masks / "a.nii.gz").unlink()
    assert bench.segment(config(masks, grid_tolerance_voxels=0.1)) == 1  # that of b
    assert {row["volume_id"] for row in bench.rows("masks")} == set(ids.values())
    row = next(row for row in bench.rows("volumes") if row["volume_id"] == ids["a"])
    bench.context.store.replace("volumes", [row["study_id"]], [])
    bench.segment(config(masks, grid_tolerance_voxels=0.1))
    assert {row["volume_id"] for row in bench.rows("masks")} == {ids["b"]}


def test_masks_of_two_tasks_under_the_same_names_do_not_disturb_each_other(
    bench: Any, kit: SimpleNamespace, masks: Path, tmp_path: Path
):
    two_volumes(bench, kit, masks)
    other = tmp_path / "other"
    kit.save(other / "a.nii.gz", labels(1), kit.ras)
    assert bench.segment(config(masks)) == 2
    assert bench.segment(config(other, task="again"), checks=False) == 1
    assert bench.segment(config(masks)) == 0
    classes = {(row["task"], row["class_name"]) for row in bench.rows("masks")}
    assert classes == {("total", "liver"), ("again", "spleen")}


def test_backends_that_make_masks_have_none_to_discover(bench: Any):
    assert discover_masks(bench.context, SegmentConfig(), EN, "token") == {}
    assert bench.rows("ledger") == []
