"""Sections as read from a file, checked."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fvlm_data.errors import ConfigError
from fvlm_train.config.evaluate import EvaluateConfig
from fvlm_train.config.train import TrainConfig


def parse_train_config(section: Any) -> TrainConfig:
    """The `train` section, checked.

    Raises:
        ConfigError: an unknown key, an impossible value or combination; names its place.
    """
    try:
        return TrainConfig.model_validate(section or {})
    except ValidationError as error:
        raise ConfigError(_sentence("train", error)) from error


def parse_evaluate_config(section: Any) -> EvaluateConfig:
    """The `evaluate` section, checked; raises ConfigError as `parse_train_config`."""
    try:
        return EvaluateConfig.model_validate(section or {})
    except ValidationError as error:
        raise ConfigError(_sentence("evaluate", error)) from error


def _sentence(section: str, error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join([section, *(str(part) for part in first["loc"])])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "no such key"
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"Configuration {place}: {reason}.{more}"
