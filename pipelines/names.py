"""Names of runs on Prefect's page: flow, store and night."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import runtime

from fvlm_data.errors import FvlmError
from pipelines.form import configured


def run_name() -> str:
    """As `curate chests 2026-03-01`: the day (UTC) for which the run was scheduled."""
    return named(
        runtime.flow_run.get_flow_name() or "flow",
        runtime.flow_run.get_parameters() or {},
        runtime.flow_run.get_scheduled_start_time(),
    )


def named(flow: str, parameters: dict[str, Any], scheduled: datetime | None) -> str:
    """The name of a run from what the server knows of it; without a time of its own, of today."""
    return f"{flow} {store_name(parameters)} {scheduled or datetime.now(UTC):%Y-%m-%d}"


def store_name(parameters: dict[str, Any]) -> str:
    """The last part of the store's place; of a configuration that is faulty, the file's name."""
    config = str(parameters.get("config", ""))
    try:
        return Path(configured(config, parameters.get("settings")).store).name or "store"
    except FvlmError:
        return Path(config).stem


def slug(name: str) -> str:
    """A name as part of an artifact's key: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "store"
