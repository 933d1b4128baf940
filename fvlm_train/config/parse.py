"""Sections as read from a file, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from fvlm_data.errors import ConfigError
from fvlm_data.run.faults import fault_sentence
from fvlm_train.config.evaluate import EvaluateConfig
from fvlm_train.config.train import TrainConfig

if TYPE_CHECKING:
    from fvlm_train.config.section import Section

Model = TypeVar("Model", bound="Section")


def parse_train_config(section: Any) -> TrainConfig:
    """The `train` section, checked.

    Raises:
        ConfigError: an unknown key, an impossible value or combination; names its place.
    """
    return _parsed("train", TrainConfig, section)


def parse_evaluate_config(section: Any) -> EvaluateConfig:
    """The `evaluate` section, checked; raises ConfigError as `parse_train_config`."""
    return _parsed("evaluate", EvaluateConfig, section)


def _parsed(name: str, model: type[Model], section: Any) -> Model:
    try:
        return model.model_validate(section or {})
    except ValidationError as error:
        raise ConfigError(fault_sentence(error, model, "configuration", name)) from error
