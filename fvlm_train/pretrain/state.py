"""RUN/pretrain.pt: all that a pretraining goes on from; RUN/encoder.safetensors: what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.settings import deciding
from fvlm_train.checkpoint_file import (
    not_written,
    read_checkpoint_file,
    write_checkpoint_file,
)
from fvlm_train.pretrain.stream import Position

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_train.config import TrainConfig

CHECKPOINT = "pretrain.pt"
ENCODER = "encoder.safetensors"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Saved:
    """A pretraining behind a step: weights, optimiser, where the stream stands, its shards."""

    step: int
    settings: dict[str, Any]
    model: dict[str, Any]
    optimiser: dict[str, Any]
    position: Position
    shards: str


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """What decides the weights, flat, by key of section `train`."""
    tree = {
        "pretrain": deciding(config.pretrain),
        "model": {
            "image": deciding(config.model.image),
            "image_encoder": config.model.image_encoder,
            "image_encoder_options": config.model.image_encoder_options,
        },
        "window_hu": list(config.window_hu),
        "seed": config.seed,
        "split": config.split,
    }
    return dict(_leaves(tree, ""))


def _leaves(tree: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found = []
    for key, value in tree.items():
        if isinstance(value, dict):
            found += _leaves(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, list(value) if isinstance(value, tuple) else value))
    return found


def save(run: Path, saved: Saved, encoder: dict[str, Any]) -> None:
    """Write both files, each under another name first: a kill leaves the old ones.

    Raises:
        InputError: there is no room, or no folder to write to.
    """
    from safetensors.torch import save_file

    content = {
        "version": VERSION,
        "step": saved.step,
        "settings": saved.settings,
        "model": saved.model,
        "optimiser": saved.optimiser,
        "position": tuple(saved.position),
        "shards": saved.shards,
    }
    plain = {name: weight.detach().cpu().contiguous() for name, weight in encoder.items()}
    try:
        weights = run / f"{ENCODER}.partial"
        save_file(plain, weights)
        weights.replace(run / ENCODER)
    except OSError as error:
        raise not_written(run, ENCODER, error) from error
    write_checkpoint_file(run, CHECKPOINT, content)


def load(run: Path) -> Saved | None:
    """What a run has saved; None if it has not begun.

    Raises:
        InputError: the file is damaged or of another version.
    """
    content = read_checkpoint_file(run, CHECKPOINT, (VERSION,), "fvlm-pretrain")
    if content is None:
        return None
    try:
        return Saved(
            step=content["step"],
            settings=content["settings"],
            model=content["model"],
            optimiser=content["optimiser"],
            position=Position(*content["position"]),
            shards=content["shards"],
        )
    except KeyError as error:
        raise InputError(
            f"run {run}: {CHECKPOINT} holds no {error.args[0]}; remove it to train anew"
        ) from error


def check_resumable(run: Path, saved: Saved, config: TrainConfig) -> None:
    """Refuse to go on with another recipe.

    Raises:
        ConfigError: a setting that decides the weights differs; the message names it.
    """
    now = settings_of(config)
    differing = [
        key for key in sorted(saved.settings | now) if saved.settings.get(key) != now.get(key)
    ]
    if differing:
        key = differing[0]
        raise ConfigError(
            f"run {run}: train.{key} was {saved.settings.get(key)} and is now {now.get(key)}: set "
            "it back to go on with this run, or name another folder with --out"
        )
