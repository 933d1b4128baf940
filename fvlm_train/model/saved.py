"""A trained model in files: the checkpoint of a run, or the folder of `fvlm-eval export`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError, InputError
from fvlm_train.checkpoint_file import read_checkpoint_file
from fvlm_train.config import parse_train_config

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from fvlm_train.config import TrainConfig

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
VERSION = 2
READABLE = (1, 2)
"""Version 1 has neither the BERT's shape nor digests of samples nor the planned steps."""

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
MODEL_TYPE = "fvlm"
EXPORT_VERSION = 1


@dataclass(frozen=True, slots=True)
class SavedModel:
    """All that a model is built from, and how far its training came.

    `planned_steps` is None in a checkpoint of version 1, and for the best of a run's validations.
    `text_shape` is the BERT's (TextEncoder.shape), None in a checkpoint of version 1, which needs
    the BERT's folder; `spacing_mm` along z, y, x is that of the training samples, where known.
    Labels of `learned_findings` were part of its loss.
    """

    config: TrainConfig
    tokenizer: str
    text_shape: str | None
    weights: dict[str, Tensor]
    step: int
    planned_steps: int | None
    spacing_mm: tuple[float, float, float] | None = None
    learned_findings: tuple[str, ...] = ()


def read_saved(path: Path) -> SavedModel:
    """The model in a run's folder or in an exported one.

    Raises:
        InputError: neither is there, or it is damaged, or of another version.
    """
    if not (path / CHECKPOINT).is_file() and (path / WEIGHTS).is_file():
        return _exported(path)
    content = checkpoint_content(path)
    if content is None:
        raise InputError(f"run {path}: no {CHECKPOINT} there; train with `fvlm-train` first")
    try:
        config = checkpoint_config(path, content)
        validation = config.validation
        if validation.every_steps is not None and validation.evaluated == "best":
            best = checkpoint_content(path, BEST)
            # an earlier step on purpose: not a training that was not finished
            content = content if best is None else best | {"planned_steps": None}
        average = content.get("average") if config.average.evaluated else None
        return SavedModel(
            config=config,
            tokenizer=content["tokenizer"],
            text_shape=content.get("text_shape"),
            weights=average or content["model"],
            step=content["step"],
            planned_steps=content.get("planned_steps"),
            spacing_mm=content.get("spacing_mm"),
            learned_findings=tuple(content.get("prompts") or ()),
        )
    except KeyError as error:
        raise lacking(path, error) from error


def checkpoint_content(run: Path, name: str = CHECKPOINT) -> dict[str, Any] | None:
    """What RUN/checkpoint.pt, or the file of another `name` there, holds; None if there is none.

    Raises:
        InputError: the file is damaged or of another version.
    """
    return read_checkpoint_file(run, name, READABLE, "fvlm-train")


def checkpoint_config(run: Path, content: dict[str, Any]) -> TrainConfig:
    """The configuration in a checkpoint.

    Raises:
        InputError: this version does not know it.
        KeyError: there is none.
    """
    try:
        return parse_train_config(json.loads(content["config"]))
    except ConfigError as error:
        raise InputError(f"run {run}: {CHECKPOINT} was made with another one: {error}") from error


def lacking(run: Path, error: KeyError) -> InputError:
    """The sentence for a checkpoint that lacks a part."""
    return InputError(f"run {run}: {CHECKPOINT} holds no {error.args[0]}; train anew")


def _exported(folder: Path) -> SavedModel:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if told.get("model_type") != MODEL_TYPE or told.get("export_version") != EXPORT_VERSION:
            raise InputError(
                f"model {folder}: {CONFIG} is not of `fvlm-eval export` version {EXPORT_VERSION}; "
                "export the run again"
            )
        spacing = told["spacing_mm"]
        return SavedModel(
            config=parse_train_config(told["train"]),
            tokenizer=(folder / TOKENIZER).read_text(encoding="utf-8"),
            text_shape=json.dumps(told["text_config"]),
            weights=load_file(folder / WEIGHTS),
            step=told["step"],
            planned_steps=told["planned_steps"],
            spacing_mm=None if spacing is None else (spacing[0], spacing[1], spacing[2]),
            learned_findings=tuple(told["learned_findings"]),
        )
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise InputError(
            f"model {folder}: cannot be read ({type(error).__name__}); expected {CONFIG}, "
            f"{WEIGHTS} and {TOKENIZER} as `fvlm-eval export` writes them"
        ) from error
