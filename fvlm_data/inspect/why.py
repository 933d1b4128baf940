"""Why an item is remade or not: what its key was made from, compared with what it is now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError, StoreError
from fvlm_data.run.private_paths import revealed
from fvlm_data.run.records import differences, record_path
from fvlm_data.store.gathering import TRIED, gather
from fvlm_data.store.planning import planned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context, Stage
    from fvlm_data.store.planning import Planned

NOT_DECIDING = frozenset({"store", "sources", "reports", "identity", "execution", "qc"})
"""Sections that enter no key: a difference in them explains no remade item."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one stage says of an item: its state, and the reasons if it is to be remade.

    States: settled, due, new (never settled), damaged (its rows or files are not what it was
    settled with), held (an input is damaged), gone (settled, and no longer planned).
    """

    stage: str
    state: str
    reasons: tuple[str, ...] = ()


def why(context: Context, config: Config, stages: Sequence[Stage], item: str) -> list[Told]:
    """The state of an item in each stage that knows it.

    Raises:
        InputError: no stage knows it.
        StoreError: a table is missing or damaged.
    """
    ledger = {
        row["stage"]: row
        for row in context.store.read("ledger", None, [("item", "=", item)]).to_pylist()
    }
    told = []
    for stage in stages:
        found = planned(context, stage, stages, item)
        row = ledger.get(stage.name)
        if found is None and row is None:
            continue
        told.append(_told(context, config, stage, found, row))
    if not told:
        raise InputError(
            f"item {item}: no stage has planned or settled it; expected the id of a series, study, "
            "volume, report, patient or sample"
        )
    return told


def _told(
    context: Context,
    config: Config,
    stage: Stage,
    found: Planned | None,
    row: Mapping[str, Any] | None,
) -> Told:
    if found is None:
        return Told(stage.name, "gone", ("it is no longer among the stage's items",))
    if row is None:
        return Told(stage.name, "new", ("it was never settled",))
    # held before broken: while an input is damaged, the next run leaves even a broken item alone
    if found.held:
        return Told(stage.name, "held", ("an input is not what its stage settled",))
    if found.broken:
        return Told(stage.name, "damaged", ("its rows or files are not what it was settled with",))
    if found.item.key == row["key"]:
        return Told(stage.name, "settled")
    _, parts = gather(context, stage, [found.item])
    return Told(stage.name, "due", tuple(_reasons(context, config, row, parts[found.item.id])))


def _reasons(context: Context, config: Config, row: Mapping[str, Any], now: str) -> list[str]:
    before, current = _by_label(row["parts"]), _by_label(now)
    changed = sorted(
        label for label in before.keys() | current.keys() if before.get(label) != current.get(label)
    )
    reasons = []
    for label in changed:
        if label == "version":
            reasons.append(f"version {before.get(label)} -> {current.get(label)} of the stage")
        elif label == "settings":
            reasons += _settings(context, config, row["run_id"])
        else:
            reasons.append(f"input {label}")
    return reasons or ["what it was made from is not known (an older program settled it)"]


def _settings(context: Context, config: Config, run_id: str) -> list[str]:
    """Leaves of the configuration that differ from those of the run that settled the item."""
    try:
        record = json.loads(context.store.read_bytes(record_path(run_id)))
    except (StoreError, ValueError):
        return ["setting (the record of the run that settled it is gone)"]
    before = revealed(context.store, record["configuration"])
    leaves = differences(before, config.model_dump(mode="json"))
    mine = [leaf for leaf in leaves if leaf.split(".")[0] not in NOT_DECIDING]
    return [f"setting {leaf}" for leaf in mine] or ["setting, vocabulary or version of the stage"]


def _by_label(parts: str) -> dict[str, str]:
    labelled = dict(part.split("=", 1) for part in parts.split() if "=" in part)
    return {label: told for label, told in labelled.items() if label != TRIED}
