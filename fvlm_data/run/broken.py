"""Items that ended the process which worked on them: when they are tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.isolation.limits import REASONS
from fvlm_data.store.commits import unsettle
from fvlm_data.store.gathering import TRIED

if TYPE_CHECKING:
    from fvlm_data.store.declared import Context, Stage


def due_again(context: Context, stage: Stage, now: str) -> set[str]:
    """Unsettle the stage's items that ended their process under other circumstances than `now`.

    All that did so, if the context says `retry`. Returns the items.
    """
    mine = ("stage", "=", stage.name)
    aside = context.store.read("quarantine", ["item"], [mine, ("reason", "in", [*REASONS])])
    items = sorted(set(aside["item"].to_pylist()))
    if not items:
        return set()
    ledger = context.store.read("ledger", ["item", "parts"], [mine, ("item", "in", items)])
    same = f"{TRIED}={now}"
    due = {
        row["item"]
        for row in ledger.to_pylist()
        if context.retry or same not in row["parts"].split()
    }
    unsettle(context, stage.name, sorted(due))
    return due
