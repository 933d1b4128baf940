"""What a run would do, by the planner that runs ask, and with nothing written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fvlm_data.inspect.status import pace_of, records
from fvlm_data.run.curate import announced, checked_names
from fvlm_data.run.records import VAULT_MARK, open_context
from fvlm_data.run.registry import STAGES, stage_entry
from fvlm_data.run.stages import build_stage, stage_names
from fvlm_data.run.vault_extent import check_vault_extent
from fvlm_data.store.place import is_there
from fvlm_data.store.planning import pending
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context, Foreseen
    from fvlm_data.store.planning import Work

BYTES_AN_ITEM = """
SELECT f.stage, f.size_bytes / l.items FROM (
    SELECT stage, sum(size_bytes) AS size_bytes FROM files GROUP BY stage
) f JOIN (
    SELECT stage, count(*) AS items FROM ledger WHERE outcome = 'accepted' GROUP BY stage
) l ON l.stage = f.stage
"""


@dataclass(slots=True)
class Forecast:
    """What a run would do: `made` says whether its store is there yet.

    `inputs` are what its sources offer. `stages` counts, by stage, items that are `settled`, `due`
    (of these `replaced` under another key, `damaged`), that would `leave`, that are `held` back
    or `lost`: as the tables stand now, so that of what new inputs bring only the first stage could
    tell. `size_bytes` is what due items of a stage would write, if they are as large as those of
    the store, and `seconds` what they would take, if they go as the stage last went; stages of
    which that is not known are not in them.
    """

    made: bool
    announced: list[str] = field(default_factory=list)
    inputs: list[Foreseen] = field(default_factory=list)
    stages: dict[str, dict[str, int]] = field(default_factory=dict)
    size_bytes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def forecast(
    config: Config,
    stages: Sequence[str] | None = None,
    *,
    rehash: bool = False,
    retry: bool = False,
) -> Forecast:
    """What `curate` would find and do with the same arguments; store and vault stay as they are.

    Raises:
        FvlmError: the run could not start.
    """
    names = checked_names(config, stages)
    context = _opened(config, rehash=rehash, retry=retry)
    told = Forecast(context is not None, announced(config, names))
    for name in names:
        foresee = stage_entry(name).foresee
        if foresee is not None:
            with STAGES.named_in_errors(name):
                told.inputs += foresee(context, config)
    if context is not None:
        _plan(context, config, names, told)
    return told


def _opened(config: Config, *, rehash: bool, retry: bool) -> Context | None:
    """Store and vault, if both are made: opening would make what is not there."""
    if not is_there(config.store) or not is_there(config.store, VAULT_MARK):
        return None
    context = replace(open_context(config, create=False), rehash=rehash, retry=retry)
    check_vault_extent(context)
    return context


def _plan(context: Context, config: Config, names: Sequence[str], told: Forecast) -> None:
    built = {name: build_stage(name, config) for name in stage_names(config)}
    sizes = dict(Relations(context.store).rows(BYTES_AN_ITEM))
    kept = records(context.store)
    for name in names:
        stage = built[name]
        counts = _counts(pending(context, stage, built.values()))
        told.stages[name] = counts
        if stage.name in sizes and counts["due"]:
            told.size_bytes[name] = int(counts["due"] * sizes[stage.name])
        if left := pace_of(kept, name, counts["due"]).left_s:
            told.seconds[name] = left


def _counts(work: Work) -> dict[str, int]:
    return {
        "settled": work.settled,
        "due": sum(len(batch) for batch in work.batches),
        "replaced": work.replaced,
        "damaged": len(work.mended),
        "leave": len(work.obsolete),
        "held": work.held,
        "lost": len(work.lost),
    }
