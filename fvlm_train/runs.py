"""The folder of a training run: checkpoint, log and summary, each written atomically.

RUN/checkpoint.pt    weights, optimiser, step, configuration, tokenizer, shape of the BERT, digests
                     of the samples; with a correction of targets also the peer, or the average of
                     the text encoder. Nothing else is needed to use it or to go on
RUN/best.pt          the same at the step of the best validation (train.validation)
RUN/data.json        which samples it learns from, from which step on (data.snapshot)
RUN/log.jsonl        one line per step, and RUN/events.out.tfevents.fvlm the same for TensorBoard,
                     RUN/log.csv as a table; all three grow with the training
RUN/summary.json     written at the end, as are
RUN/config.json      the section `train` that decided it
RUN/MODEL_CARD.md    data, recipe, figures, limits
RUN/curves.html      by the command, as is curves.png
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple, Self, TextIO

import torch

from fvlm_data.errors import ConfigError
from fvlm_data.settings import deciding
from fvlm_train.checkpoint_file import write_checkpoint_file
from fvlm_train.config import TrainConfig
from fvlm_train.data.content import differing
from fvlm_train.model import FVLM
from fvlm_train.model.saved import (
    CHECKPOINT,
    VERSION,
    SavedModel,
    checkpoint_config,
    checkpoint_content,
    lacking,
    read_saved,
)

LOG = "log.jsonl"
SUMMARY = "summary.json"
CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """State of a model, of its optimiser, and of the scaler of float16's loss (else empty)."""

    model: dict[str, Any]
    optimiser: dict[str, Any]
    scaler: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run at the end of `step` steps; `model` is its result.

    `scaler` is the state of that of float16's loss; `average` are the averaged weights
    (train.average), where the run has them, and `validated` what validations brought. `peer` and
    `text_average` serve the correction of targets. `text_shape` is the BERT's (TextEncoder.shape),
    `samples` what was learned from (data.content), `prompts` the sentences of the findings whose
    labels were learned (train.loss.prompts), `spacing_mm` the samples' spacing along z, y, x where
    it is known.
    """

    step: int
    config: TrainConfig
    tokenizer: str
    model: dict[str, Any]
    optimiser: dict[str, Any]
    peer: Trained | None = None
    text_average: dict[str, Any] | None = None
    text_shape: str | None = None
    samples: torch.Tensor | None = None
    planned_steps: int | None = None
    prompts: dict[str, list[str]] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    scaler: dict[str, Any] | None = None
    average: dict[str, Any] | None = None
    validated: dict[str, Any] | None = None

    @property
    def trained(self) -> tuple[Trained, ...]:
        """The model and, where it has one, its peer."""
        own = Trained(self.model, self.optimiser, self.scaler)
        return (own, self.peer) if self.peer else (own,)


def save_checkpoint(run: Path, checkpoint: Checkpoint, name: str = CHECKPOINT) -> None:
    """Write RUN/checkpoint.pt under another name, then rename it: a kill leaves the old one.

    `name` may be another one.

    Raises:
        InputError: there is no room, or no folder to write to.
    """
    content = {
        "version": VERSION,
        "step": checkpoint.step,
        "config": checkpoint.config.model_dump_json(),
        "tokenizer": checkpoint.tokenizer,
        "model": checkpoint.model,
        "optimiser": checkpoint.optimiser,
        "peer": asdict(checkpoint.peer) if checkpoint.peer else None,
        "text_average": checkpoint.text_average,
        "text_shape": checkpoint.text_shape,
        "samples": checkpoint.samples,
        "planned_steps": checkpoint.planned_steps,
        "prompts": checkpoint.prompts,
        "spacing_mm": checkpoint.spacing_mm,
        "scaler": checkpoint.scaler,
        "average": checkpoint.average,
        "validated": checkpoint.validated,
    }
    write_checkpoint_file(run, name, content)


def load_checkpoint(run: Path) -> Checkpoint | None:
    """The run's checkpoint, or None if there is none yet.

    Raises:
        InputError: the file is damaged, of another version, or of a configuration that this
            version does not know.
    """
    content = checkpoint_content(run)
    if content is None:
        return None
    try:
        return Checkpoint(
            step=content["step"],
            config=checkpoint_config(run, content),
            tokenizer=content["tokenizer"],
            model=content["model"],
            optimiser=content["optimiser"],
            peer=Trained(**content["peer"]) if content.get("peer") else None,
            text_average=content.get("text_average"),
            text_shape=content.get("text_shape"),
            samples=content.get("samples"),
            planned_steps=content.get("planned_steps"),
            prompts=content.get("prompts"),
            spacing_mm=content.get("spacing_mm"),
            scaler=content.get("scaler"),
            average=content.get("average"),
            validated=content.get("validated"),
        )
    except KeyError as error:
        raise lacking(run, error) from error


class TrainedRun(NamedTuple):
    """A run's model, on CPU in evaluation mode; `planned_steps` is None in an older run.

    Labels of `learned_findings` were part of its loss: their scores are not zero-shot.
    """

    model: FVLM
    config: TrainConfig
    step: int
    planned_steps: int | None
    learned_findings: tuple[str, ...] = ()
    spacing_mm: tuple[float, float, float] | None = None


def trained_run(run: Path) -> TrainedRun:
    """What a run has come to; `run` may be an exported model, too.

    Raises:
        InputError: the folder holds neither, or it cannot be read.
    """
    saved = read_saved(run)
    model = FVLM.from_saved(saved, run)
    return TrainedRun(
        model,
        saved.config,
        saved.step,
        saved.planned_steps,
        saved.learned_findings,
        saved.spacing_mm,
    )


def load_run(run: Path) -> tuple[FVLM, TrainConfig]:
    """Model and configuration of `trained_run`."""
    trained = trained_run(run)
    return trained.model, trained.config


def restored_model(checkpoint: Checkpoint, weights: dict[str, Any]) -> FVLM:
    """A checkpoint's model with `weights`; files that training started from are not needed again.

    Raises:
        ConfigError: the checkpoint is of version 1 and its BERT's folder is gone.
        RuntimeError: the weights do not fit the configuration.
    """
    return FVLM.restored(
        SavedModel(
            config=checkpoint.config,
            tokenizer=checkpoint.tokenizer,
            text_shape=checkpoint.text_shape,
            weights=weights,
            step=checkpoint.step,
            planned_steps=checkpoint.planned_steps,
        )
    )


def check_same_data(run: Path, checkpoint: Checkpoint, digests: torch.Tensor) -> None:
    """Refuse to go on with other samples than the run began with.

    Raises:
        ConfigError: samples differ in pixels, masks, texts or labels, or the checkpoint does not
            know them.
    """
    way_out = "name another folder with --out, or go on all the same by --continue-on-new-data"
    if checkpoint.samples is None:
        raise ConfigError(
            f"run {run}: {CHECKPOINT} is of an older version, which does not know the samples that "
            f"it learned from: {way_out}"
        )
    gone, new = differing(checkpoint.samples, digests)
    if gone or new:
        raise ConfigError(
            f"run {run}: the data are not those that it began with: of its "
            f"{len(checkpoint.samples)} samples {gone} are gone or changed, of the {len(digests)} "
            f"there are now {new} are new or changed: {way_out}"
        )


def check_same_prompts(run: Path, checkpoint: Checkpoint, prompts: dict[str, list[str]]) -> None:
    """Refuse to go on with other prompts than the run began with.

    Raises:
        ConfigError: findings or their sentences differ; names the first.
    """
    before = checkpoint.prompts or {}
    differing = [one for one in {**before, **prompts} if before.get(one) != prompts.get(one)]
    if differing:
        raise ConfigError(
            f"run {run}: the prompts of {differing[0]} are not those that it began with: use the "
            "vocabulary of then, or name another folder with --out"
        )


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

        Only the first rank `writes`. `earlier` are the steps that a resumed run had made.
        """
        self.earlier: list[dict[str, Any]] = []
        self._path = run / LOG
        self._resumed_step = resumed_step
        self._writes = writes
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Open the file."""
        if self._writes:
            kept = []
            if self._resumed_step and self._path.is_file():
                lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
                # a killed run may have left half a line, which may end as a whole one does
                whole = (line.rstrip() for line in lines if line.endswith("\n"))
                kept = [n for n in whole if json.loads(n)["step"] <= self._resumed_step]
                self.earlier = [json.loads(line) for line in kept]
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
