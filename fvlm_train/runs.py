"""The folder of a training run: checkpoint, log and summary, each written atomically.

RUN/checkpoint.pt    weights, optimiser, step, configuration, tokenizer; with a correction of
                     targets also the peer, or the average of the text encoder
RUN/log.jsonl        one line per step
RUN/summary.json     written at the end
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any, Self, TextIO

import torch

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.settings import deciding
from fvlm_train.config import TrainConfig, parse_train_config
from fvlm_train.model import FVLM, WordPieces

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
SUMMARY = "summary.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Trained:
    """State of a model and of its optimiser."""

    model: dict[str, Any]
    optimiser: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run at the end of `step` steps; `model` is its result.

    `peer` and `text_average` serve the correction of targets, where the run has one.
    """

    step: int
    config: TrainConfig
    tokenizer: str
    model: dict[str, Any]
    optimiser: dict[str, Any]
    peer: Trained | None = None
    text_average: dict[str, Any] | None = None

    @property
    def trained(self) -> tuple[Trained, ...]:
        """The model and, where it has one, its peer."""
        own = Trained(self.model, self.optimiser)
        return (own, self.peer) if self.peer else (own,)


def save_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write RUN/checkpoint.pt under another name, then rename it: a kill leaves the old one."""
    content = {
        "version": VERSION,
        "step": checkpoint.step,
        "config": checkpoint.config.model_dump_json(),
        "tokenizer": checkpoint.tokenizer,
        "model": checkpoint.model,
        "optimiser": checkpoint.optimiser,
        "peer": asdict(checkpoint.peer) if checkpoint.peer else None,
        "text_average": checkpoint.text_average,
    }
    temporary = run / f"{CHECKPOINT}.partial"
    with temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        # before the rename, which must not survive a power cut without the bytes
        os.fsync(file.fileno())
    temporary.replace(run / CHECKPOINT)


def load_checkpoint(run: Path) -> Checkpoint | None:
    """The run's checkpoint, or None if there is none yet.

    Raises:
        InputError: the file is damaged or of another version.
    """
    path = run / CHECKPOINT
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch raise many kinds
        raise InputError(
            f"run {run}: {CHECKPOINT} cannot be read ({type(error).__name__}); expected a "
            "checkpoint of fvlm-train; remove it to train anew"
        ) from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise InputError(f"run {run}: {CHECKPOINT} is not of version {VERSION}; train anew")
    return Checkpoint(
        step=content["step"],
        config=parse_train_config(json.loads(content["config"])),
        tokenizer=content["tokenizer"],
        model=content["model"],
        optimiser=content["optimiser"],
        peer=Trained(**content["peer"]) if content.get("peer") else None,
        text_average=content.get("text_average"),
    )


def load_run(run: Path) -> tuple[FVLM, TrainConfig]:
    """The trained model, on CPU in evaluation mode, and its configuration.

    Raises:
        InputError: the folder holds no readable checkpoint.
    """
    checkpoint = load_checkpoint(run)
    if checkpoint is None:
        raise InputError(f"run {run}: no {CHECKPOINT} there; train with `fvlm-train` first")
    config = checkpoint.config
    return restored_model(config, checkpoint.tokenizer, checkpoint.model).eval(), config


def restored_model(config: TrainConfig, tokenizer: str, weights: dict[str, Any]) -> FVLM:
    """A checkpoint's model; files that its training started from are not needed again."""
    word_pieces = WordPieces.from_json(tokenizer, config.model.text.max_tokens)
    model = FVLM(config.model, config.anatomies, word_pieces)
    model.load_state_dict(weights)
    return model


def check_resumable(run: Path, checkpoint: Checkpoint, config: TrainConfig) -> None:
    """Refuse to go on with another recipe.

    Raises:
        ConfigError: a setting that decides the weights differs; the message names it.
    """
    before, now = (_leaves(deciding(one)) for one in (checkpoint.config, config))
    differing = sorted(
        key for key in before.keys() | now.keys() if not _same(before.get(key), now.get(key))
    )
    if differing:
        key = differing[0]
        raise ConfigError(
            f"run {run}: train.{key} was {before.get(key)} and is now {now.get(key)}: set it back "
            "to go on with this run, or name another folder with --out"
        )


class StepLog:
    """RUN/log.jsonl, a context manager; cut back to the checkpoint when a run is resumed."""

    def __init__(self, run: Path, resumed_step: int, *, writes: bool = True) -> None:
        """Lines after `resumed_step` belong to steps that will be made again; dropped.

        Only the first rank `writes`.
        """
        self._path = run / LOG
        self._resumed_step = resumed_step
        self._writes = writes
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Open the file."""
        if self._writes:
            kept = []
            if self._resumed_step and self._path.is_file():
                lines = self._path.read_text(encoding="utf-8").splitlines()
                # a killed run may have left half a line
                whole = (line for line in lines if line.endswith("}"))
                kept = [n for n in whole if json.loads(n)["step"] <= self._resumed_step]
            temporary = self._path.with_suffix(".partial")
            temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
            # lines after the checkpoint are cut off before new ones follow: no step is listed twice
            temporary.replace(self._path)
            self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def write(self, line: dict[str, Any]) -> None:
        """Append one step."""
        if self._file:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def _same(before: Any, now: Any) -> bool:
    """Whether a setting is unchanged; older versions recorded relative paths as they were given."""
    if before == now or not (isinstance(before, str) and isinstance(now, str)):
        return bool(before == now)
    return Path(now).is_absolute() and PurePath(now).parts[-len(PurePath(before).parts) :] == (
        PurePath(before).parts
    )


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves.update(_leaves(value, f"{prefix}{key}."))
        else:
            leaves[prefix + key] = value
    return leaves
