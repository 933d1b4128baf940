"""The check of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.run.config import load_config
from fvlm_data.run.records import open_context
from fvlm_data.run.stages import build_stage, build_stages
from fvlm_data.store.commits import unsettle
from fvlm_data.store.content import tables_of
from fvlm_data.store.planning import pending
from fvlm_data.testing.statements import require
from fvlm_data.testing.worlds import check_rejects, contents, settle_all

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def check_stage(name: str, configuration: Mapping[str, Any]) -> None:
    """Run a stage on a store that `curate` has filled under `configuration`.

    Each item has one outcome; settled items are not made again; made again, they give the same
    rows; no detail holds an identity; the stage changes no rows of other stages.

    Raises:
        AssertionError: one of these does not hold.
    """
    config = load_config(values=configuration)
    context = open_context(config, create=False)
    stage = build_stage(name, config)
    settle_all(context, stage)
    left = sum(len(batch) for batch in pending(context, stage).batches)
    require(left == 0, f"stage {name}: {left} items are due again after they were settled")
    mine = [("stage", "=", stage.name)]
    items = context.store.read("ledger", ["item"], mine)["item"].to_pylist()
    require(bool(items), f"stage {name}: it has settled nothing, expected an item")
    before = contents(context, tables_of(stage))
    unsettle(context, stage.name, items)
    require(
        settle_all(context, stage) == len(items), f"stage {name}: its items are others than before"
    )
    after = contents(context, tables_of(stage))
    differing = [table for table in before if before[table] != after[table]]
    require(not differing, f"stage {name}: tables {differing} differ when items are made again")
    check_rejects(context)
    stages = build_stages(config)
    for one in stages:
        broken = pending(context, one, stages).mended
        require(not broken, f"stage {name}: it has changed {len(broken)} items of {one.name}")
