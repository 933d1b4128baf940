from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fvlm_data.identity.vault import Vault
from fvlm_data.radiomics.config import RadiomicsConfig
from fvlm_data.radiomics.stage import radiomics_stage
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import checked_names
from fvlm_data.run.stages import stage_names
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from schemas import ReviewEffect
from tests.shards.conftest import EN, World

CONFIG = RadiomicsConfig(
    spacing_mm=None, least_voxels=10, bands={"all": (-2000, 2000)}, band_regions=("liver",)
)


def run(world: World, config: RadiomicsConfig = CONFIG) -> int:
    stage = radiomics_stage(config, EN)
    work = pending(world.context, stage)
    retire(world.context, stage, [*work.obsolete, *work.mended])
    for batch in work.batches:
        settle(world.context, stage, batch)
    return sum(len(batch) for batch in work.batches)


def told(world: World) -> dict[tuple[str, ...], Any]:
    rows = world.store.read("radiomics").to_pylist()
    names = ("volume_id", "region", "family", "feature")
    return {tuple(row[name] for name in names): row["value"] for row in rows}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(Store.create(tmp_path / "store"), Vault.open(tmp_path / "vault"))
    for number in range(2):
        made.add(number)
    return made


def test_every_region_of_every_volume_has_its_features(world: World):
    assert run(world) == 2
    found = told(world)
    assert {(key[0], key[1]) for key in found} == {
        (volume, region) for volume in ("v_00", "v_01") for region in ("liver", "spleen", "aorta")
    }
    assert found["v_00", "liver", "bands", "all"] == 1
    assert ("v_00", "spleen", "bands", "all") not in found
    # the mask is 6 x 8 x 5 voxels of 1 x 1 x 2 mm
    assert found["v_00", "liver", "shape", "volume_voxels"] == 480
    assert run(world) == 0


def test_a_mask_that_is_wrong_by_review_gives_no_features(world: World):
    run(world)
    wrong = ReviewEffect(
        subject="mask:v_00:liver",
        kind="mask",
        volume_id="v_00",
        anatomy="liver",
        version="1",
        reason="leaks",
        decisions=(),
    )
    before = told(world)
    world.store.replace_all("review_effects", [wrong])
    assert run(world) == 1
    gone = {key for key in before if key[:2] == ("v_00", "liver")}
    assert told(world) == {key: value for key, value in before.items() if key not in gone}
    assert gone


def test_what_is_too_small_is_named(world: World):
    run(world, RadiomicsConfig(least_voxels=10_000))
    assert told(world) == {}
    (first, _) = sorted(world.store.read("quarantine").to_pylist(), key=lambda row: row["item"])
    assert (first["item"], first["kind"], first["reason"]) == (
        "v_00", "out_of_scope", "region_too_small",
    )  # fmt: skip
    assert "aorta, liver, spleen" in first["detail"]


def test_a_file_that_is_no_image_is_tried_again(world: World):
    path = "masks/00/v_00.total.nii.gz"
    world.put(path, "segment:total", "v_00", b"nothing")
    run(world)
    assert {key[0] for key in told(world)} == {"v_01"}
    (row,) = world.store.read("quarantine").to_pylist()
    assert (row["item"], row["reason"]) == ("v_00", "region_unreadable")
    assert run(world) == 1


def test_it_runs_where_the_configuration_has_its_section(tmp_path: Path):
    plain = load_config(None, (), {"store": str(tmp_path / "s")})
    assert "radiomics" not in stage_names(plain)
    asked = load_config(None, ["radiomics={}"], {"store": str(tmp_path / "s")})
    assert stage_names(asked).index("radiomics") == stage_names(plain).index("segment") + 1
    wrong = load_config(None, ["radiomics.anatomies=[lungs]"], {"store": str(tmp_path / "s")})
    with pytest.raises(Exception, match="found lungs"):
        checked_names(wrong, None)
    assert np.isclose(asked.radiomics.bin_width_hu, 25)  # type: ignore[union-attr]
