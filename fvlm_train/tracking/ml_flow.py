"""A training in MLflow: a file store in RUN/mlruns, or the tracking server that is named."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_train.report.events import scalars
from fvlm_train.tracking.tracker import told_settings

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_train.config import TrainConfig

FOLDER = "mlruns"
FILE_STORE = {"MLFLOW_ALLOW_FILE_STORE": "true"}
"""Newer versions ask for it where a folder keeps the runs, as no server is wanted."""


@dataclass(slots=True)
class MlflowRun:
    """A run of the tool; `has` holds the steps of each metric that it has already."""

    id: str
    client: Any
    has: dict[str, set[int]]

    def write(self, line: dict[str, Any]) -> None:
        """Add a step."""
        from mlflow.entities import Metric

        step, now_ms = line["step"], int(time.time() * 1000)
        metrics = [
            Metric(tag, value, now_ms, step)
            for tag, value in scalars(line)
            if step not in self.has.get(tag, ())
        ]
        if metrics:
            self.client.log_batch(self.id, metrics=metrics)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        self.client.set_terminated(self.id, "FAILED" if failed else "FINISHED")


def open_mlflow(run: Path, config: TrainConfig, known: str | None) -> MlflowRun:
    """Begin a run; with the id of a `known` one, go on with it.

    By its plain client: the usual way adds user, host, command and git commit to each run.
    """
    told = config.tracking
    if told.mlflow_url is None:
        os.environ.update(FILE_STORE)
    from mlflow import MlflowClient
    from mlflow.entities import Param

    client = MlflowClient(told.mlflow_url or (run / FOLDER).resolve().as_uri())
    if known is not None:
        client.update_run(known, status="RUNNING")
        return MlflowRun(known, client, _had(client, known))
    experiment = client.get_experiment_by_name(told.project)
    number = experiment.experiment_id if experiment else client.create_experiment(told.project)
    made = client.create_run(number, run_name=told.name)
    params = [Param(key, str(value)) for key, value in told_settings(config).items()]
    client.log_batch(made.info.run_id, params=params)
    return MlflowRun(made.info.run_id, client, {})


def _had(client: Any, run_id: str) -> dict[str, set[int]]:
    """Steps of each metric: a killed training had told more than its checkpoint knows."""
    return {
        tag: {metric.step for metric in client.get_metric_history(run_id, tag)}
        for tag in client.get_run(run_id).data.metrics
    }
