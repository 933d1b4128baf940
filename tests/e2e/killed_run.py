"""Runs the chain in a process of its own and kills it (SIGKILL) at a chosen write of a stage."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import fvlm_data.run.curate
from fvlm_data.store.tables import Store
from tests.e2e.chain import chain_config


def main(store: str, phantom: str, stage: str, write: int) -> None:
    state: dict[str, Any] = {"stage": None, "writes": 0}
    settle = fvlm_data.run.curate.settle

    def watched_settle(context: Any, running: Any, items: Any) -> Any:
        state["stage"] = running.name
        return settle(context, running, items)

    def counted(original: Any) -> Any:
        def call(self: Store, *args: Any, **named: Any) -> Any:
            if str(state["stage"]).startswith(stage):
                if state["writes"] == write:
                    os.kill(os.getpid(), signal.SIGKILL)
                state["writes"] += 1
            return original(self, *args, **named)

        return call

    fvlm_data.run.curate.settle = watched_settle
    for name in ("write_bytes", "put_tree", "replace"):
        setattr(Store, name, counted(getattr(Store, name)))
    fvlm_data.run.curate.curate(chain_config(Path(store), Path(phantom)))


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    main(**arguments)
