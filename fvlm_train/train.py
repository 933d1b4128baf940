"""Training, from top to bottom: one device, or one rank of torchrun."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fvlm_data.errors import ConfigError
from fvlm_train.data import TrainingBatches, read_ahead
from fvlm_train.distributed import Ranks, ranks
from fvlm_train.loss import contrastive_losses, loss_terms
from fvlm_train.model import FVLM
from fvlm_train.runs import (
    SUMMARY,
    Checkpoint,
    StepLog,
    check_resumable,
    load_checkpoint,
    restored_model,
    save_checkpoint,
    write_json,
)
from fvlm_train.texts import encoder_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fvlm_train.config import OptimiserConfig, TrainConfig
    from fvlm_train.crops import Facts
    from fvlm_train.data import Batch
    from fvlm_train.loss import Term
    from fvlm_train.windows import SampleSource


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did; a line of the log.

    Loss is None where no anatomy contributed; `damaged` names samples that could not be read.
    """

    step: int
    epoch: int
    loss: float | None
    losses: dict[str, float]
    temperature: float
    learning_rate: float
    time_s: float
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """How a training ended."""

    steps: int
    planned_steps: int
    steps_without_loss: int
    last_loss: float | None
    samples: int
    parameters: int
    time_s: float
    damaged_reads: int = 0


def train(
    config: TrainConfig,
    source: SampleSource,
    run: Path,
    report: Callable[[Step, int], None] = lambda step, steps: None,
) -> TrainSummary:
    """Train a model on `source` and leave it in the folder `run`, or go on where `run` stopped.

    On CPU the same configuration, data and thread count give the same weights bit by bit,
    also when the run was killed and resumed. `report` is called by the first rank after each
    step with the number of planned steps.

    Raises:
        ConfigError: the configuration and the data, or the run's earlier part, do not fit.
    """
    with ranks(config.device) as place, _arithmetic(config, place):
        check(config, source, place.world)
        started_s = time.monotonic()
        run.mkdir(parents=True, exist_ok=True)
        batches = TrainingBatches(source, config, place.rank, place.world)
        learner = _start(config, source, run, place)
        last, silent, damaged = None, 0, 0
        with StepLog(run, learner.step, writes=place.first) as log:
            for step in _steps(config, learner, batches, place):
                last, silent = step, silent + (step.loss is None)
                damaged += len(step.damaged)
                log.write(asdict(step))
                if place.first:
                    report(step, len(batches))
                ended = step.step == len(batches) or _out_of_time(config, started_s, place)
                if place.first and (ended or step.step % config.checkpoint_every_steps == 0):
                    _save(run, config, learner)
                if ended:
                    break
        summary = TrainSummary(
            steps=learner.step,
            planned_steps=len(batches),
            steps_without_loss=silent,
            last_loss=last.loss if last else None,
            samples=len(source),
            parameters=sum(weight.numel() for weight in learner.model.parameters()),
            time_s=round(time.monotonic() - started_s, 3),
            damaged_reads=damaged,
        )
        if place.first:
            write_json(run / SUMMARY, asdict(summary))
        return summary


@dataclass(slots=True)
class _Learner:
    """What a step changes; `wrapped` is the model as DDP sees it."""

    model: FVLM
    wrapped: nn.Module
    optimiser: torch.optim.Optimizer
    step: int


def _steps(
    config: TrainConfig, learner: _Learner, batches: TrainingBatches, place: Ranks
) -> Iterator[Step]:
    coming = read_ahead(
        batches,
        learner.step,
        config.loader_workers,
        config.reading.prefetch,
        pinned=place.device.type == "cuda",
    )
    for number, batch in enumerate(coming, start=learner.step):
        began_s = time.monotonic()
        rate = learning_rate(number, len(batches), config.optimiser)
        for group in learner.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(_dropout_seed(config.seed, number, place.rank))
        facts = [one for part in place.gather_objects(batch.facts) for one in part]
        losses = training_step(learner, batch, facts, config, place)
        learner.step = number + 1
        yield Step(
            step=learner.step,
            epoch=number // batches.steps_per_epoch,
            loss=sum(losses.values()) if losses else None,
            losses=losses,
            temperature=float(learner.model.temperature.detach()),
            learning_rate=rate,
            time_s=round(time.monotonic() - began_s, 3),
            damaged=tuple(one.damaged for one in facts if one.damaged is not None),
        )


def _out_of_time(config: TrainConfig, started_s: float, place: Ranks) -> bool:
    limit_s = config.time_limit_s
    return limit_s is not None and place.any(time.monotonic() - started_s > limit_s)


def training_step(
    learner: _Learner, batch: Batch, facts: Sequence[Facts], config: TrainConfig, place: Ranks
) -> dict[str, float]:
    """One step on this rank's batch; the loss of each anatomy that contributed.

    `facts` are those of all ranks.

    What contributes is known to all ranks beforehand: where nothing does, none of them moves.
    """
    terms = loss_terms(facts, len(config.anatomies), config.loss.policy, config.silence)
    if not terms:
        return {}
    texts, place_ba = _distinct_texts(batch.facts, terms)
    model = learner.model
    model.clamp_temperature()
    ids_ts, mask_ts = model.tokenizer.encode(texts)
    mask_ts = _thinned(mask_ts, config.model.text.token_dropout)
    with torch.autocast(place.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
        features = learner.wrapped(
            batch.scaled(place.device),
            batch.tokens_ban.to(place.device),
            ids_ts.to(place.device),
            mask_ts.to(place.device),
        )
    text_bae = features.text_te[place_ba.to(place.device)]
    losses = contrastive_losses(
        place.gather(features.image_bae), place.gather(text_bae), features.temperature, terms
    )
    total = torch.stack(list(losses.values())).sum()
    learner.optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    if config.optimiser.clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), config.optimiser.clip_norm)
    learner.optimiser.step()
    return {config.anatomies[number]: float(loss.detach()) for number, loss in losses.items()}


def check(config: TrainConfig, source: SampleSource, world: int) -> None:
    """Refuse what cannot train, before any work.

    Raises:
        ConfigError: too few samples, a batch that ranks cannot share, an anatomy without
            samples, or no abnormal anatomy at all.
    """
    if len(source) < config.batch_size:
        raise ConfigError(
            f"train.batch_size is {config.batch_size} but split {config.split} holds "
            f"{len(source)} samples: lower it, or add data"
        )
    if config.batch_size % world:
        raise ConfigError(
            f"train.batch_size {config.batch_size} cannot be shared by {world} ranks: "
            "set a multiple"
        )
    rows = source.rows.select(["anatomies", "states"]).to_pylist()
    seen = {anatomy for row in rows for anatomy in row["anatomies"]}
    missing = [anatomy for anatomy in config.anatomies if anatomy not in seen]
    if missing:
        raise ConfigError(
            f"train.anatomies holds {missing[0]}, which no sample of split {config.split} shows: "
            f"found are {', '.join(sorted(seen)) or 'none'}"
        )
    wanted = set(config.anatomies)
    abnormal = any(
        state == "abnormal" and anatomy in wanted
        for row in rows
        for anatomy, state in zip(row["anatomies"], row["states"], strict=True)
    )
    if not abnormal:
        raise ConfigError(
            f"split {config.split}: no trained anatomy is abnormal in any sample, so there is "
            "nothing to contrast; check reports and train.anatomies"
        )


def learning_rate(step: int, steps: int, config: OptimiserConfig) -> float:
    """Linear warm-up, then a cosine; both ends at the least rate. Changes with every step."""
    low, high = config.min_learning_rate, config.learning_rate
    warmup = min(config.warmup_steps, steps)
    if step < warmup:
        return low + (high - low) * (step + 1) / warmup
    progress = (step - warmup) / max(steps - warmup - 1, 1)
    return low + (high - low) * (1 + math.cos(math.pi * progress)) / 2


def make_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW with the weight decay in effect (see OptimiserConfig on the public code)."""
    decayed: list[Tensor] = []
    spared: list[Tensor] = []
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        table = name.endswith(("positions", "queries", "bias")) or weight.ndim < 2
        spared_now = table and config.decay == "matrices"
        (spared if spared_now else decayed).append(weight)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=config.learning_rate, betas=config.betas
    )


def _start(config: TrainConfig, source: SampleSource, run: Path, place: Ranks) -> _Learner:
    """From the run's checkpoint, else from the seed."""
    checkpoint = load_checkpoint(run)
    if checkpoint is not None:
        check_resumable(run, checkpoint, config)
        model = restored_model(checkpoint).to(place.device).train()
        optimiser = make_optimiser(model, config.optimiser)
        optimiser.load_state_dict(checkpoint.optimiser)
        return _Learner(model, _wrapped(model, place), optimiser, checkpoint.step)
    torch.manual_seed(config.seed)
    model = FVLM.for_training(config.model, config.anatomies, _training_texts(config, source))
    model = model.to(place.device).train()
    return _Learner(model, _wrapped(model, place), make_optimiser(model, config.optimiser), 0)


def _training_texts(config: TrainConfig, source: SampleSource) -> list[str]:
    if config.model.text.kind != "fresh":
        return []
    wanted = set(config.anatomies)
    texts = {encoder_text("", anatomy, config.template) for anatomy in wanted}
    for row in source.rows.select(["anatomies", "texts"]).to_pylist():
        for anatomy, text in zip(row["anatomies"], row["texts"], strict=True):
            if anatomy in wanted:
                texts.add(encoder_text(text, anatomy, config.template))
    return sorted(texts)


def _distinct_texts(facts: Sequence[Facts], terms: Sequence[Term]) -> tuple[list[str], Tensor]:
    """Texts to encode, each once, and their places (B, A); what takes no part points at 0."""
    wanted = {term.anatomy for term in terms}
    place_ba = torch.zeros(len(facts), len(facts[0].texts), dtype=torch.int64)
    numbers: dict[str, int] = {}
    for row, sample in enumerate(facts):
        for anatomy in wanted:
            if sample.intact[anatomy] and sample.states[anatomy] is not None:
                text = sample.encoder_texts[anatomy]
                place_ba[row, anatomy] = numbers.setdefault(text, len(numbers))
    # a rank without a text still takes part in the forward pass, on which DDP counts
    return list(numbers) or [facts[0].encoder_texts[0]], place_ba


def _thinned(mask_ts: Tensor, share: float) -> Tensor:
    """Attention mask with a share of its tokens hidden; the first token ([CLS]) always shows."""
    if share == 0:
        return mask_ts
    shown_ts = torch.rand(mask_ts.shape) >= share
    shown_ts[:, 0] = True
    return mask_ts * shown_ts


def _wrapped(model: FVLM, place: Ranks) -> nn.Module:
    if place.world == 1:
        return model
    return DistributedDataParallel(
        model, [place.device] if place.device.index is not None else None
    )


def _save(run: Path, config: TrainConfig, learner: _Learner) -> None:
    save_checkpoint(
        run,
        Checkpoint(
            step=learner.step,
            config=config,
            tokenizer=learner.model.tokenizer.to_json(),
            model=learner.model.state_dict(),
            optimiser=learner.optimiser.state_dict(),
        ),
    )


def _dropout_seed(seed: int, step: int, rank: int) -> int:
    """A seed for each step and rank: a resumed run needs no generator state."""
    return (seed * 1_000_003 + step) * 4099 + rank


@contextmanager
def _arithmetic(config: TrainConfig, place: Ranks) -> Iterator[None]:
    """Thread count and, on CPU, deterministic kernels; as they were afterwards."""
    threads: int = torch.get_num_threads()
    deterministic: Any = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(config.threads or threads)
    torch.use_deterministic_algorithms(place.device.type == "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
