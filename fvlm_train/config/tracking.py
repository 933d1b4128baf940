"""Section `train.tracking`: logs that other tools keep, beside those in RUN."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from fvlm_train.config.section import Section


def _server(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected the http or https address of a server; null keeps all in RUN")
    if "@" in parts.netloc:
        # the configuration is kept in checkpoints
        raise ValueError("holds a user or password: give it by the tool's environment variables")
    return url


Server = Annotated[str, AfterValidator(_server)]


class TrackingConfig(Section):
    """Weights & Biases and MLflow; RUN's own log, table and TensorBoard file are always written.

    Without an address all of it stays in RUN, and nothing is sent.
    """

    to: tuple[Literal["wandb", "mlflow"], ...] = Field(
        default=(),
        description="Tools that get each step too: 'wandb' (extra [wandb]), 'mlflow' (extra "
        "[mlflow]).",
    )
    project: str = Field(
        default="fvlm",
        min_length=1,
        description="Project of Weights & Biases, experiment of MLflow.",
    )
    name: str = Field(
        default="fvlm",
        min_length=1,
        description="Name of the run there; name no patient, person or place in it.",
    )
    wandb_url: Server | None = Field(
        default=None,
        description="Server of Weights & Biases; its key is read from WANDB_API_KEY. Null writes "
        "offline runs to RUN/wandb, which `wandb sync` may send later.",
    )
    mlflow_url: Server | None = Field(
        default=None,
        description="MLflow's tracking server; what it asks for is read from MLFLOW_TRACKING_TOKEN "
        "and the like. Null writes a file store to RUN/mlruns.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(set(self.to)) != len(self.to):
            raise ValueError("to holds a name twice")
        return self
