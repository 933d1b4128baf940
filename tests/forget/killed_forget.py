"""Forgets in a process of its own and kills it (SIGKILL) before a chosen change."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import fvlm_data.forget.forget as forgetting
from fvlm_data.forget.targets import Target
from fvlm_data.identity.vault import Vault
from fvlm_data.run.records import open_context
from fvlm_data.store.tables import Store
from tests.e2e.chain import chain_config

CHANGES = (
    *((Store, name) for name in ("write_bytes", "put_tree", "replace", "remove")),
    (forgetting, "erase_history"),
    *((Vault, name) for name in ("remember_forgotten", "erase", "keep_note", "drop_note")),
)


def main(store: str, phantom: str, patient: str, change: int) -> None:
    done = 0

    def counted(original: Any) -> Any:
        def call(self: Any, *args: Any, **named: Any) -> Any:
            nonlocal done
            if done == change:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            return original(self, *args, **named)

        return call

    split = {"train": 1.0, "validation": 0.0, "test": 0.0}
    config = chain_config(Path(store), Path(phantom), **{"pair.split": split})
    context = open_context(config, create=False)
    for owner, name in CHANGES:
        setattr(owner, name, counted(getattr(owner, name)))
    forgetting.forget(context, config, [Target("here", "patient", (patient,))])


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
