"""A training in Weights & Biases: offline in RUN/wandb, or on the server that is named."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_train.report.events import scalars
from fvlm_train.tracking.tracker import told_settings

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_train.config import TrainConfig


@dataclass(slots=True)
class WandbRun:
    """A run of the tool; it has all steps up to `last` already."""

    id: str
    run: Any
    last: int

    def write(self, line: dict[str, Any]) -> None:
        """Add a step."""
        if line["step"] > self.last:
            self.last = line["step"]
            self.run.log(dict(scalars(line)), step=self.last)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        self.run.finish(exit_code=int(failed))


def open_wandb(run: Path, config: TrainConfig, known: str | None) -> WandbRun:
    """Begin a run; with the id of a `known` one, go on with it.

    An offline run cannot be read again: each start writes a folder of its own under the same id,
    with all steps so far.
    """
    import wandb

    told, name = config.tracking, known or secrets.token_hex(4)
    # on a server, the run that there is
    server = {"base_url": told.wandb_url, "resume": "allow"} if told.wandb_url else {}
    settings = wandb.Settings(
        **server,
        # what it would find out by itself: host, user, paths, command line, packages, git, load
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        save_code=False,
        host="",
        username="",
        program="",
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        silent=True,
    )
    made = wandb.init(
        project=told.project,
        name=told.name,
        id=name,
        dir=str(run),
        config=told_settings(config),
        mode="online" if told.wandb_url else "offline",
        settings=settings,
    )
    # of a resumed run on a server the next step, else 0
    return WandbRun(name, made, max(made.step - 1, 0))
