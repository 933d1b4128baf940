"""The sections `train` and `evaluate` of the project's configuration file."""

from __future__ import annotations

from fvlm_train.config.compute import AverageConfig, ComputeConfig, ValidationConfig
from fvlm_train.config.data import FlipConfig, ReadingConfig, SamplingConfig
from fvlm_train.config.evaluate import EvaluateConfig
from fvlm_train.config.loss import CorrectionConfig, LossConfig
from fvlm_train.config.model import (
    ImageEncoderConfig,
    ModelConfig,
    OrganConfig,
    TextEncoderConfig,
)
from fvlm_train.config.parse import parse_evaluate_config, parse_train_config
from fvlm_train.config.pretrain import PretrainConfig
from fvlm_train.config.tracking import TrackingConfig
from fvlm_train.config.train import OptimiserConfig, TrainConfig

__all__ = [
    "AverageConfig",
    "ComputeConfig",
    "CorrectionConfig",
    "EvaluateConfig",
    "FlipConfig",
    "ImageEncoderConfig",
    "LossConfig",
    "ModelConfig",
    "OptimiserConfig",
    "OrganConfig",
    "PretrainConfig",
    "ReadingConfig",
    "SamplingConfig",
    "TextEncoderConfig",
    "TrackingConfig",
    "TrainConfig",
    "ValidationConfig",
    "parse_evaluate_config",
    "parse_train_config",
]
