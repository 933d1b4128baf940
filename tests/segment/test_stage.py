from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.hashing import array_sha256
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.stage import mask_path
from fvlm_data.segment.waiting import volumes_without_mask
from schemas import StoredFile

V2 = recorded_classes("totalsegmentator_v2")


def organs() -> np.ndarray[Any, Any]:
    """Spleen 1, right kidney 2, liver 5, in one corner each."""
    labels = np.zeros((10, 12, 8), np.uint8)
    labels[1:3, 1:5, 2:4] = 1
    labels[4:6, 4:6, 4:6] = 2
    labels[6:10, 6:9, 1:7] = 5
    return labels


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir()
    return folder


def config(masks: Path, **settings: Any) -> SegmentConfig:
    values = {"classes": "totalsegmentator_v2", **settings}
    return SegmentConfig(backend="precomputed", masks=masks, **values)


def image(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(-100, 100, (10, 12, 8)).astype(np.int16)


def manifest(masks: Path, *rows: str, columns: str = "volume,mask") -> Path:
    path = masks / "manifest.csv"
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return path


class TestAccepted:
    @pytest.fixture
    def volume(self, bench: Any, kit: SimpleNamespace, masks: Path) -> str:
        volume = bench.add_volume(image(), kit.ras, volume_name="case_7.nii.gz")
        kit.save(masks / "deep" / "case_7.nii.gz", *kit.turned(organs(), kit.ras, "PSL"))
        assert bench.segment(config(masks)) == 1
        return volume

    def test_one_row_a_class_with_its_measures(self, bench: Any, volume: str):
        rows = {row["class_name"]: row for row in bench.rows("masks")}
        assert set(rows) == {"spleen", "kidney_right", "liver"}
        liver = rows["liver"]
        assert liver["voxels"] == 4 * 3 * 6
        assert liver["volume_ml"] == pytest.approx(72 * 2 * 3 * 4 / 1000)
        assert liver["bbox"] == [6, 6, 1, 10, 9, 7]
        assert liver["touches_border"]
        assert not rows["spleen"]["touches_border"]
        assert liver["class_system"] == "totalsegmentator_v2"
        assert liver["content_sha256"] == array_sha256(organs())
        assert (liver["backend"], liver["task"], liver["volume_id"]) == (
            "precomputed",
            "total",
            volume,
        )

    def test_the_label_map_stands_on_the_volumes_grid(self, bench: Any, volume: str, kit: Any):
        path = bench.rows("masks")[0]["path"]
        assert path == f"masks/{volume[2:4]}/{volume}.total.nii.gz" == mask_path(volume, "total")
        stored = nib.load(bench.context.store.location(path))
        np.testing.assert_array_equal(np.asarray(stored.dataobj), organs())
        np.testing.assert_allclose(stored.affine, kit.ras)

    def test_a_second_run_has_nothing_to_do(self, bench: Any, volume: str, masks: Path):
        assert bench.segment(config(masks)) == 0
        assert bench.segment(config(masks, batch_size=1)) == 0
        assert volumes_without_mask(bench.context, "total") == set()

    def test_the_place_of_a_mask_does_not_matter_its_content_does(
        self, bench: Any, volume: str, masks: Path, kit: Any
    ):
        (masks / "deep" / "case_7.nii.gz").rename(masks / "case_7.nii.gz")
        moved = masks.rename(masks.with_name("elsewhere"))
        assert bench.segment(config(moved)) == 0
        changed = organs()
        changed[0, 0, 0] = 1
        kit.save(moved / "case_7.nii.gz", changed, kit.ras)
        assert bench.segment(config(moved)) == 1
        voxels = {row["class_name"]: row["voxels"] for row in bench.rows("masks")}
        assert voxels["spleen"] == 17

    def test_a_later_folder_without_the_mask_takes_nothing_away(
        self, bench: Any, volume: str, tmp_path: Path
    ):
        other = tmp_path / "later"
        other.mkdir()
        assert bench.segment(config(other)) == 0
        assert len(bench.rows("masks")) == 3

    def test_file_bytes_are_the_same_in_another_run(
        self, bench: Any, volume: str, masks: Path, monkeypatch: pytest.MonkeyPatch
    ):
        path = mask_path(volume, "total")
        first = bench.context.store.read_bytes(path)
        bench.context.store.replace("ledger", [volume], [])
        monkeypatch.setattr("time.time", lambda: 1.0)
        assert bench.segment(config(masks)) == 1
        assert bench.context.store.read_bytes(path) == first


def test_two_tasks_lie_side_by_side(bench: Any, kit: SimpleNamespace, masks: Path):
    bench.add_volume(image(), kit.ras, volume_name="a")
    kit.save(masks / "a.nii", organs(), kit.ras)
    bench.segment(config(masks))
    bench.segment(config(masks, task="again"), checks=False)
    tasks = [row["task"] for row in bench.rows("masks")]
    assert (tasks.count("total"), tasks.count("again")) == (3, 3)
    assert len(bench.rows("volume_checks")) == 1


def test_a_volume_without_mask_waits_and_a_mask_without_volume_is_set_aside(
    bench: Any, kit: SimpleNamespace, masks: Path
):
    volume = bench.add_volume(image(), kit.ras, volume_name="case_1.nii.gz")
    kit.save(masks / "case_2.nii.gz", organs(), kit.ras)
    bench.segment(config(masks))
    assert volumes_without_mask(bench.context, "total") == {volume}
    ((token, reason),) = bench.reasons().items()
    assert reason == "mask_without_volume"
    assert token.startswith("f_")
    assert bench.context.vault.file_paths([token]) == {token: "case_2.nii.gz"}

    late = bench.add_volume(image(1), kit.ras, volume_name="case_2.nii.gz")
    bench.segment(config(masks))
    assert bench.reasons() == {}
    assert {row["volume_id"] for row in bench.rows("masks")} == {late}


@pytest.mark.parametrize("named_by", ["volume_id", "series_uid", "volume_name"])
def test_a_manifest_names_volumes_in_three_ways(
    bench: Any, kit: SimpleNamespace, masks: Path, named_by: str
):
    volume = bench.add_volume(image(), kit.ras, series_uid="1.2.3", volume_name="ct 7.nii.gz")
    name = {"volume_id": volume, "series_uid": "1.2.3", "volume_name": "some/CT 7.nii.gz"}
    kit.save(masks / "seg.nii.gz", organs(), kit.ras)
    path = manifest(masks, f"{name[named_by]},seg.nii.gz")
    bench.segment(config(path))
    assert {row["volume_id"] for row in bench.rows("masks")} == {volume}


def test_a_manifest_row_may_have_classes_of_its_own(bench: Any, kit: SimpleNamespace, masks: Path):
    bench.add_volume(image(), kit.ras, volume_name="a")
    bench.add_volume(image(1), kit.ras, volume_name="b")
    labels = (organs() == 5).astype(np.uint8)
    kit.save(masks / "a.nii.gz", labels, kit.ras)
    kit.save(masks / "b.nii.gz", organs(), kit.ras)
    (masks / "map.yaml").write_text("class_system: anatomy\nclasses: {1: liver}\n")
    path = manifest(masks, "a,a.nii.gz,map.yaml", "b,b.nii.gz,", columns="Volume, Mask ,classes")
    bench.segment(config(path))
    systems = {(row["class_system"], row["class_name"]) for row in bench.rows("masks")}
    assert ("anatomy", "liver") in systems
    assert ("totalsegmentator_v2", "spleen") in systems


class TestSetAside:
    """Each fault ends as one quarantine row with a sentence, and the rest of the batch goes on."""

    @pytest.fixture(autouse=True)
    def _good(self, bench: Any, kit: SimpleNamespace, masks: Path) -> None:
        self.good = bench.add_volume(image(9), kit.ras, volume_name="good")
        kit.save(masks / "good.nii.gz", organs(), kit.ras)
        self.volume = bench.add_volume(image(), kit.ras, volume_name="bad")
        self.bench, self.masks = bench, masks

    def reject(self, **settings: Any) -> dict[str, Any]:
        self.bench.segment(config(self.masks, **settings))
        assert {row["volume_id"] for row in self.bench.rows("masks")} == {self.good}
        (row,) = self.bench.rows("quarantine")
        assert (row["kind"], row["item"]) == ("fault", self.volume)
        assert volumes_without_mask(self.bench.context, "total") == set()
        return row

    def test_two_candidates(self, kit: SimpleNamespace):
        kit.save(self.masks / "one" / "bad.nii.gz", organs(), kit.ras)
        kit.save(self.masks / "two" / "bad.nii", organs(), kit.ras)
        row = self.reject()
        assert row["reason"] == "mask_ambiguous"
        assert "2 masks name this volume" in row["detail"]
        assert len(row["source_files"]) == 2

    def test_another_grid(self, kit: SimpleNamespace):
        moved = kit.ras.copy()
        moved[0, 3] = 1.0
        kit.save(self.masks / "bad.nii.gz", organs(), moved)
        row = self.reject()
        assert row["reason"] == "mask_grid_mismatch"
        assert "up to 0.5 voxels apart, allowed 0.05" in row["detail"]

    def test_v1_names_inside_a_map_declared_v2(self, kit: SimpleNamespace):
        table = kit.label_table(recorded_classes("totalsegmentator_v1"))
        kit.save(self.masks / "bad.nii.gz", organs(), kit.ras, table)
        row = self.reject()
        assert row["reason"] == "class_system_mismatch"
        assert "value 7 is aorta, declared pancreas; declare totalsegmentator_v1" in row["detail"]

    def test_a_name_inside_a_mask_may_be_a_persons(self, kit: SimpleNamespace):
        table = kit.label_table({1: "Mustermann Erika", 5: "liver"})
        kit.save(self.masks / "bad.nii.gz", organs(), kit.ras, table)
        detail = self.reject()["detail"]
        assert "value 1 is called by no class's name, declared spleen" in detail
        assert "Mustermann" not in detail

    def test_values_beyond_the_declared_classes(self, kit: SimpleNamespace):
        labels = organs()
        labels[0, 0, 0] = 118
        kit.save(self.masks / "bad.nii.gz", labels, kit.ras)
        row = self.reject()
        assert row["reason"] == "mask_unknown_value"
        assert "1 values have no name in totalsegmentator_v2: 118" in row["detail"]

    def test_probabilities(self, kit: SimpleNamespace):
        kit.save(self.masks / "bad.nii.gz", organs().astype(np.float32) / 2, kit.ras)
        assert self.reject()["reason"] == "mask_not_labels"

    def test_not_a_number(self, kit: SimpleNamespace):
        labels = organs().astype(np.float32)
        labels[0, 0, 0] = np.nan
        kit.save(self.masks / "bad.nii.gz", labels, kit.ras)
        assert self.reject()["reason"] == "mask_not_labels"

    def test_junk_and_a_cut_file(self, kit: SimpleNamespace):
        kit.save(self.masks / "bad.nii.gz", organs(), kit.ras)
        whole = (self.masks / "bad.nii.gz").read_bytes()
        (self.masks / "bad.nii.gz").write_bytes(whole[: len(whole) // 2])
        assert self.reject()["reason"] == "mask_unreadable"
        (self.masks / "bad.nii.gz").write_bytes(b"no image at all")
        assert self.reject()["reason"] == "mask_unreadable"

    def test_an_empty_mask(self, kit: SimpleNamespace):
        kit.save(self.masks / "bad.nii.gz", np.zeros_like(organs()), kit.ras)
        assert self.reject()["reason"] == "empty_mask"

    def test_a_link_that_leads_outside(self, kit: SimpleNamespace, tmp_path: Path):
        kit.save(tmp_path / "secret.nii.gz", organs(), kit.ras)
        (self.masks / "bad.nii.gz").symlink_to(tmp_path / "secret.nii.gz")
        assert self.reject()["reason"] == "mask_outside_folder"

    @pytest.mark.parametrize(
        ("written", "reason"),
        [("../secret.nii.gz", "mask_outside_folder"), ("gone.nii.gz", "mask_missing")],
    )
    def test_a_manifest_row_that_cannot_be_followed(
        self, kit: SimpleNamespace, tmp_path: Path, written: str, reason: str
    ):
        kit.save(tmp_path / "secret.nii.gz", organs(), kit.ras)
        path = manifest(self.masks, f"bad,{written}", "good,good.nii.gz")
        self.masks = path
        assert self.reject()["reason"] == reason


def test_a_name_that_two_volumes_share_is_ambiguous(bench: Any, kit: SimpleNamespace, masks: Path):
    one = bench.add_volume(image(), kit.ras, series_uid="1.2", volume_name="ct")
    two = bench.add_volume(image(1), kit.ras, series_uid="1.3")
    rows = bench.rows("links")
    assert rows
    same = bench.add_volume(image(2), kit.ras, volume_name="1.2")
    kit.save(masks / "1.2.nii.gz", organs(), kit.ras)
    bench.segment(config(masks, batch_size=1))
    assert bench.reasons() == {one: "mask_ambiguous", same: "mask_ambiguous"}
    assert "names 2 volumes" in bench.rows("quarantine")[0]["detail"]
    assert volumes_without_mask(bench.context, "total") == {two}


def test_embedded_names_that_agree_are_no_obstacle(bench: Any, kit: SimpleNamespace, masks: Path):
    bench.add_volume(image(), kit.ras, volume_name="a")
    kit.save(masks / "a.nii.gz", organs(), kit.ras, kit.label_table(V2))
    bench.segment(config(masks))
    assert len(bench.rows("masks")) == 3


def test_damaged_or_hostile_label_tables_are_passed_over(
    bench: Any, kit: SimpleNamespace, masks: Path
):
    bench.add_volume(image(), kit.ras, volume_name="a")
    bench.add_volume(image(1), kit.ras, volume_name="b")
    hostile = (
        '<!DOCTYPE x [<!ENTITY a "aorta">]><LabelTable><Label Key="5">&a;</Label></LabelTable>'
    )
    kit.save(masks / "a.nii.gz", organs(), kit.ras, hostile)
    kit.save(masks / "b.nii.gz", organs(), kit.ras, '<LabelTable><Label Key="5">aor')
    bench.segment(config(masks))
    assert len(bench.rows("masks")) == 6


def test_more_values_than_a_byte_holds(bench: Any, kit: SimpleNamespace, masks: Path):
    volume = bench.add_volume(image(), kit.ras, volume_name="a")
    kit.save(masks / "a.nii.gz", organs().astype(np.int32) * 1000, kit.ras)
    (masks / "map.yaml").write_text(
        "class_system: phantom\nclasses: {1000: spleen, 2000: kidney_right, 5000: liver}\n"
    )
    bench.segment(config(masks, classes="map.yaml"))
    stored = nib.load(bench.context.store.location(mask_path(volume, "total")))
    assert stored.get_data_dtype() == np.uint16
    assert {row["class_value"] for row in bench.rows("masks")} == {1000, 2000, 5000}


def test_a_volume_whose_bytes_changed_is_held(bench: Any, kit: SimpleNamespace):
    """Also under the same size: what was made from the right bytes stays as it is."""
    bench.add_volume(image(), kit.ras, volume_name="a")
    assert bench.segment(SegmentConfig()) == 1
    before = bench.rows("masks")
    volume = bench.rows("volumes")[0]
    content = bytearray(bench.context.store.read_bytes(volume["path"]))
    content[-9] ^= 1
    bench.context.store.write_bytes(volume["path"], bytes(content))
    bench.context.store.replace("ledger", [volume["volume_id"]], [])
    assert bench.segment(SegmentConfig()) == 1
    assert bench.reasons() == {}
    assert bench.rows("masks") == before
    assert bench.segment(SegmentConfig()) == 1  # not settled: it waits for the right bytes


def test_a_volume_that_was_stored_damaged_is_tried_again(bench: Any, kit: SimpleNamespace):
    bench.add_volume(image(), kit.ras)
    volume = bench.rows("volumes")[0]
    bench.context.store.write_bytes(volume["path"], b"\x1f\x8bjunk")
    told = bench.rows("files")[0]
    told["sha256"] = hashlib.sha256(b"\x1f\x8bjunk").hexdigest()
    bench.context.store.replace("files", [told["item"]], [StoredFile(**told)])
    assert bench.segment(SegmentConfig()) == 1
    assert bench.reasons() == {volume["volume_id"]: "volume_unreadable"}
    assert bench.segment(SegmentConfig()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("volume;mask\n", "columns volume and mask expected .*, found volume;mask"),
        ("volume,mask\na,\n", "line 2: volume or mask is blank"),
        ("", "found none"),
    ],
)
def test_a_manifest_of_another_form_stops_the_run(bench: Any, masks: Path, content: str, said: str):
    path = masks / "m.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        bench.segment(config(path))


def test_a_missing_folder_stops_the_run(bench: Any, tmp_path: Path):
    with pytest.raises(InputError, match="neither a folder nor a manifest file"):
        bench.segment(config(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("class_system: mine\nclasses: {1: a}\n", "class_system mine is not known; known are"),
        ("class_system: anatomy\nclasses: {one: a}\n", "expected whole numbers from 1 to 65535"),
        ("class_system: anatomy\nclasses: {1: a, 2: a}\n", "a name stands at two values"),
        ("classes: {1: a}\n", "expected exactly class_system and classes"),
        ("- 1\n", "found no mapping"),
        ("a: [\n", "cannot be read as YAML"),
    ],
)
def test_a_class_map_of_another_form_stops_the_run(
    bench: Any, kit: SimpleNamespace, masks: Path, content: str, said: str
):
    (masks / "map.yaml").write_text(content)
    kit.save(masks / "a.nii.gz", organs(), kit.ras)
    with pytest.raises(ConfigError, match=said):
        bench.segment(config(masks, classes="map.yaml"))
    with pytest.raises(ConfigError, match="neither totalsegmentator_v1 nor totalsegmentator_v2"):
        bench.segment(config(masks, classes="v2"))
