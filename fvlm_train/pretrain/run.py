"""Pretraining, from top to bottom, on one device."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.utils.data import DataLoader

from fvlm_data.errors import ConfigError, StoreError
from fvlm_train.config.train import OptimiserConfig
from fvlm_train.errors import DivergedError
from fvlm_train.pretrain.model import Pretrained
from fvlm_train.pretrain.state import ENCODER, Saved, check_resumable, load, save, settings_of
from fvlm_train.pretrain.stream import BEGIN, Position, TwoViews, shards_sha256
from fvlm_train.pretrain.swapped import SwappedHead
from fvlm_train.runs import CONFIG, SUMMARY, StepLog, write_json
from fvlm_train.training.learner import make_optimiser
from fvlm_train.training.steps import learning_rate
from fvlm_train.training.stopping import stop_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from fvlm_data.shards.stream import ShardStream
    from fvlm_train.config import TrainConfig
    from fvlm_train.training.stopping import Stop

Ended = Literal["complete", "stopped", "time_limit"]


@dataclass(frozen=True, slots=True)
class PretrainSummary:
    """How a pretraining ended; `time_s` is that of this process, `epochs` those begun."""

    steps: int
    planned_steps: int
    ended: Ended
    last_loss: float | None
    epochs: int
    shards: int
    parameters: int
    encoder_parameters: int
    time_s: float
    stop_signal: int | None = None


def pretrain(
    config: TrainConfig,
    stream: ShardStream,
    run: Path,
    report: Callable[[int, int, float], None] = lambda step, steps, loss: None,
    *,
    new_data: bool = False,
) -> PretrainSummary:
    """Learn from `stream` and leave RUN/encoder.safetensors, or go on where `run` stopped.

    On a CPU the same configuration, shards and thread count give the same weights bit by bit, also
    when the run was killed and resumed. SIGINT and SIGTERM end it after the step in progress,
    saved. `new_data` lets a run go on with other shards than it began with, from a new epoch on.

    Raises:
        ConfigError: the run's earlier part does not fit the configuration or the shards.
        DivergedError: the loss is not finite; the checkpoint before is kept.
        InputError: there is no sample.
        StoreError: a sample cannot be read; what was learned before is saved.
    """
    started_s = time.monotonic()
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads or threads)
    try:
        with stop_asked() as stop:
            learning = _begun(config, stream, run, new_data=new_data)
            run.mkdir(parents=True, exist_ok=True)
            ended = _learned(learning, stream, stop, started_s, report)
    finally:
        torch.set_num_threads(threads)
    summary = PretrainSummary(
        steps=learning.step,
        planned_steps=config.pretrain.steps,
        ended=ended,
        last_loss=learning.loss,
        epochs=learning.position.epoch + 1,
        shards=len(stream.shards),
        parameters=_count(learning.model),
        encoder_parameters=_count(learning.model.encoder),
        time_s=round(time.monotonic() - started_s, 3),
        stop_signal=stop.signal if ended == "stopped" else None,
    )
    write_json(run / SUMMARY, {**asdict(summary), "encoder": ENCODER})
    write_json(run / CONFIG, config.model_dump(mode="json"))
    return summary


@dataclass(slots=True)
class _Learning:
    """What steps change."""

    config: TrainConfig
    run: Path
    model: Pretrained
    optimiser: torch.optim.Optimizer
    device: torch.device
    shards: str
    step: int = 0
    position: Position = BEGIN
    loss: float | None = None

    def save(self) -> None:
        saved = Saved(
            self.step,
            settings_of(self.config),
            self.model.state_dict(),
            self.optimiser.state_dict(),
            self.position,
            self.shards,
        )
        save(self.run, saved, self.model.encoder.state_dict())


def _begun(config: TrainConfig, stream: ShardStream, run: Path, *, new_data: bool) -> _Learning:
    """From the run's checkpoint, else from the seed."""
    saved, shards = load(run), shards_sha256(stream)
    if saved is not None:
        check_resumable(run, saved, config)
        if saved.shards != shards and not new_data:
            raise ConfigError(
                f"run {run}: the shards of split {stream.split} are not those that it began with: "
                "name another folder with --out, or go on all the same by --continue-on-new-data"
            )
    torch.manual_seed(config.seed)
    device = _device(config)
    model = Pretrained(config).to(device).train()
    given = config.pretrain
    optimiser = make_optimiser(
        model,
        OptimiserConfig(learning_rate=given.learning_rate, weight_decay=given.weight_decay),
    )
    learning = _Learning(config, run, model, optimiser, device, shards)
    if saved is not None:
        model.load_state_dict(saved.model)
        optimiser.load_state_dict(saved.optimiser)
        learning.step, learning.position = saved.step, saved.position
        if saved.shards != shards:  # places among other shards mean nothing
            learning.position = Position(saved.position.epoch + 1)
    return learning


def _device(config: TrainConfig) -> torch.device:
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def _learned(
    learning: _Learning,
    stream: ShardStream,
    stop: Stop,
    started_s: float,
    report: Callable[[int, int, float], None],
) -> Ended:
    """Make, log and save the steps that are left."""
    config, given = learning.config, learning.config.pretrain
    saved = learning.step
    with StepLog(learning.run, learning.step) as log:
        if log.earlier:
            learning.loss = log.earlier[-1]["loss"]
        try:
            for views, after in _batches(learning, stream):
                line = _step(learning, views)
                learning.position = after
                log.write(line)
                report(learning.step, given.steps, line["loss"])
                late = config.time_limit_s and time.monotonic() - started_s > config.time_limit_s
                ended = _ended(learning, stop, late=bool(late))
                if ended or learning.step % given.checkpoint_every_steps == 0:
                    learning.save()
                    saved = learning.step
                if ended:
                    return ended
        except StoreError:
            if learning.step > saved:
                learning.save()
            raise
    return "complete"


def _ended(learning: _Learning, stop: Stop, *, late: bool) -> Ended | None:
    if learning.step == learning.config.pretrain.steps:
        return "complete"
    if stop.signal is not None:
        return "stopped"
    return "time_limit" if late else None


def _batches(learning: _Learning, stream: ShardStream) -> Iterator[tuple[Tensor, Position]]:
    """Batches (B, 2, z, y, x) for the steps that are left, with the position behind each."""
    given = learning.config.pretrain
    data = TwoViews(stream, learning.config, learning.position)
    workers = given.loader_workers
    context: Any = "spawn" if workers else None
    loader = iter(
        DataLoader(data, batch_size=None, num_workers=workers, multiprocessing_context=context)
    )
    for _ in range(given.steps - learning.step):
        taken = list(islice(loader, given.batch_size))
        yield torch.stack([one.views for one in taken]), taken[-1].after


def _step(learning: _Learning, views_b2zyx: Tensor) -> dict[str, Any]:
    """One step of the optimiser, as a line of the log.

    Raises:
        DivergedError: the loss is not finite.
    """
    config, given = learning.config, learning.config.pretrain
    begun_s = time.monotonic()
    # a resumed run needs no generator state
    torch.manual_seed(config.seed * 1_000_003 + learning.step)
    rate = learning_rate(
        learning.step,
        given.steps,
        OptimiserConfig(learning_rate=given.learning_rate, warmup_steps=given.warmup_steps),
    )
    for group in learning.optimiser.param_groups:
        group["lr"] = rate
    loss = learning.model(views_b2zyx.to(learning.device))
    if not bool(torch.isfinite(loss)):
        raise DivergedError(
            f"step {learning.step + 1}: the loss is not finite; lower train.pretrain.learning_rate"
        )
    learning.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    head = learning.model.head
    if isinstance(head, SwappedHead) and learning.step < given.swapped.frozen_steps:
        head.prototypes.grad = None
    norm = torch.nn.utils.clip_grad_norm_(
        learning.model.parameters(), given.clip_norm or float("inf")
    )
    learning.optimiser.step()
    learning.step += 1
    learning.loss = round(float(loss.detach()), 6)
    return {
        "step": learning.step,
        "loss": learning.loss,
        "learning_rate": rate,
        "gradient_norm": round(float(norm), 6),
        "time_s": round(time.monotonic() - begun_s, 4),
    }


def _count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
