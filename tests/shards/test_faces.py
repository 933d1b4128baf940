from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fvlm_data.shards import faces

if TYPE_CHECKING:
    from conftest import World

    from fvlm_data.shards.config import ShardConfig

WITH_FACE = {1: "liver", 2: "spleen", 3: "face"}
WITH_BRAIN = {1: "liver", 2: "spleen", 3: "brain"}


def _reasons(world: World) -> list[str]:
    return [row["reason"] for row in world.store.read("quarantine").to_pylist()]


def _setting(config: ShardConfig, value: str, **more: Any) -> ShardConfig:
    return config.model_copy(update={"faces": value, **more})


def _hash(world: World, sample: str) -> str:
    return str(world.samples()[sample]["content_sha256"])


def test_a_face_becomes_air_with_a_rim_and_nothing_else_changes():
    rng = np.random.default_rng(1)
    image = rng.integers(-200, 300, (20, 20, 12)).astype(np.int16)
    face = np.zeros(image.shape, bool)
    face[5:8, 5:8, 4:6] = True
    removed = faces.rim(face, (1.0, 1.0, 2.0))
    slabs = (image[:, :, start : start + 5] for start in (0, 5, 10))
    blanked = np.concatenate(list(faces.without(removed, slabs)), axis=2)
    assert (blanked[face] == -1024).all()
    assert blanked[2, 6, 4] == -1024  # 3 mm off
    assert blanked[6, 6, 6] == -1024  # one slice, 2 mm off
    far = np.ones(image.shape, bool)
    far[2:11, 2:11, 3:7] = False
    np.testing.assert_array_equal(blanked[far], image[far])
    assert blanked[1, 6, 4] == image[1, 6, 4]


def test_remove_changes_a_sample_with_a_face_and_no_other(world: World, small: ShardConfig):
    with_face = world.add(1, classes=WITH_FACE)
    without = world.add(2)
    wide = {"margin_pixels": 12}
    world.run(_setting(small, "keep", **wide))
    kept = _hash(world, with_face), _hash(world, without)
    world.run(_setting(small, "remove", **wide))
    assert _hash(world, with_face) != kept[0]
    assert _hash(world, without) == kept[1]
    assert _reasons(world) == []


@pytest.mark.parametrize(
    ("setting", "classes", "reason"),
    [
        ("remove", WITH_BRAIN, ["face_not_segmented"]),
        ("refuse", WITH_BRAIN, ["face_visible"]),
        ("refuse", WITH_FACE, ["face_visible"]),
        ("keep", WITH_BRAIN, []),
        ("remove", None, []),
        ("refuse", None, []),
    ],
)
def test_what_becomes_of_a_head(
    world: World, small: ShardConfig, setting: str, classes: Any, reason: list[str]
):
    world.add(1, **({"classes": classes} if classes else {}))
    world.run(_setting(small, setting, margin_pixels=12))
    assert _reasons(world) == reason
    assert len(world.samples()) == 1 - len(reason)


def test_a_head_outside_the_kept_part_does_no_harm(world: World, small: ShardConfig):
    world.add(1, classes={1: "liver", 3: "brain"})
    world.run(_setting(small, "remove", margin_pixels=0, margin_slices=0))
    assert _reasons(world) == []


def test_a_header_that_names_a_head_counts_where_no_mask_does(world: World, small: ShardConfig):
    world.add(1)
    (row,) = world.store.read("volumes").to_pylist()
    from schemas import Volume

    world.store.replace("volumes", [row["study_id"]], [_volume(Volume, row)])
    world.run(small)
    assert _reasons(world) == ["face_not_segmented"]
    assert world.samples() == {}


def _volume(kind: Any, row: dict[str, Any]) -> Any:
    made = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
    return replace(made, body_region_header="HEAD")
