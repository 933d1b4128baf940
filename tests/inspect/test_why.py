"""`explain --why`: what makes an item be made anew, by stage."""

from __future__ import annotations

import pytest

from fvlm_data.errors import InputError
from fvlm_data.inspect.why import Told, why
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.records import open_context
from fvlm_data.run.stages import build_stages
from tests.inspect import damage


def told(config: Config, item: str) -> dict[str, Told]:
    context = open_context(config, create=False)
    return {one.stage: one for one in why(context, config, build_stages(config), item)}


def first(config: Config, table: str, column: str) -> str:
    rows = damage.table(config, table).to_pyarrow_table()[column].to_pylist()
    return str(min(rows))


def test_settled_item(config: Config):
    study = first(config, "anatomy_texts", "study_id")
    assert told(config, study)["pair"] == Told("pair", "settled")
    assert told(config, study)["select"] == Told("select", "settled")


def test_changed_setting_is_named(config: Config):
    values = config.model_dump(mode="json")
    values["shard"]["slab_z"] = 8
    changed = load_config(None, (), values)
    sample = first(config, "samples", "sample_id")
    assert told(changed, sample)["shard"] == Told("shard", "due", ("setting shard.slab_z",))


def test_changed_column_of_an_input_is_named(config: Config):
    """Sections of the vocabulary's hash aside, only what was read and changed is told."""
    delta = damage.table(config, "inputs")
    mask = first(config, "masks", "volume_id")
    delta.update(
        updates={"fingerprint": "'another:file::1'"}, predicate=f"kind = 'mask' AND item = '{mask}'"
    )
    state = told(config, mask)["segment:total"]
    assert state.state == "due"
    assert len(state.reasons) == 1
    assert state.reasons[0].endswith(".fingerprint")


def test_damaged_rows_and_what_rests_on_them(config: Config):
    volume = first(config, "masks", "volume_id")
    liver = f"volume_id = '{volume}' AND class_name = 'liver'"
    damage.table(config, "masks").delete(liver)
    assert told(config, volume)["segment:total"].state == "damaged"
    rows = damage.table(config, "samples").to_pyarrow_table().to_pylist()
    sample = next(row["sample_id"] for row in rows if row["volume_id"] == volume)
    assert told(config, sample)["shard"].state == "held"


def test_item_that_nobody_knows(config: Config):
    with pytest.raises(InputError, match="item x_1: no stage has planned or settled it"):
        told(config, "x_1")
