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
    """The `train` section, checked and complete.

    A configuration may leave out what only the machine that trains knows, as the folder of the
    text encoder: curation does not need it.

    Raises:
        ConfigError: an unknown key, an impossible value or combination, or no text encoder;
            names its place.
    """
    config = _parsed("train", TrainConfig, section)
    if config.model.text.kind == "folder" and config.model.text.folder is None:
        raise ConfigError(
            "configuration: train.model.text: kind is folder: set model.text.folder, or kind to "
            "fresh; a small model without a folder of weights is `train: {preset: small}`"
        )
    return config


def parse_evaluate_config(section: Any) -> EvaluateConfig:
    """The `evaluate` section, checked; raises ConfigError as `parse_train_config`."""
    return _parsed("evaluate", EvaluateConfig, section)


def _parsed(name: str, model: type[Model], section: Any) -> Model:
    try:
        return model.model_validate(section or {})
    except ValidationError as error:
        raise ConfigError(fault_sentence(error, model, "configuration", name)) from error
