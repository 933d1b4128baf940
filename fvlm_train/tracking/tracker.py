"""What a tool must do to follow a training, and what of a training it is told.

It is told numbers of steps and settings that decide the result. No id of a sample, no path and no
name of this machine is among them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from fvlm_data.settings import decides_when, is_path


class Tracker(Protocol):
    """A run in another tool's log."""

    id: str
    """Its id there, by which a resumed training goes on with it."""

    def write(self, line: dict[str, Any]) -> None:
        """Add a step as RUN/log.jsonl has it, unless it is there already."""

    def close(self, *, failed: bool) -> None:
        """The training has ended, or `failed`."""


def told_settings(section: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Settings that decide the result, flat by their key's path; no path of a file among them."""
    told: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if decides_when(field) is False or isinstance(value, Path) or is_path(field, value):
            continue
        if isinstance(value, BaseModel):
            told.update(told_settings(value, f"{prefix}{name}."))
        else:
            told[prefix + name] = value
    return told
