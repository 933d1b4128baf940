"""Telemetry of dependencies: off, before any of them is imported."""

from __future__ import annotations

import os

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "WANDB_ERROR_REPORTING": "false",
}
"""Environment of every process of ours; prefect.yaml and compose repeat what Prefect reads.

TotalSegmentator has no such variable: its sending function is replaced where the library is loaded.
"""


def switch_telemetry_off() -> None:
    """Set the variables in this process, and so in those that it starts."""
    os.environ.update(TELEMETRY_OFF)
