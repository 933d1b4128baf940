"""What training changes, and its way out of a run's checkpoint and into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_train.data.texts import encoder_text
from fvlm_train.runs import Checkpoint, check_resumable, load_checkpoint, save_checkpoint
from fvlm_train.training.correction import TextAverage
from fvlm_train.training.learner import Learner, fresh_learner, restored_learner

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_train.config import TrainConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.training.distributed import Ranks


@dataclass(slots=True)
class State:
    """What steps change: the run's model, with co-teaching its peer, with momentum its average."""

    learners: tuple[Learner, ...]
    average: TextAverage | None
    step: int
    corrected_from: int


def start(
    config: TrainConfig, source: SampleSource, run: Path, place: Ranks, corrected_from: int
) -> State:
    """From the run's checkpoint, else from the seeds.

    Raises:
        ConfigError: the checkpoint belongs to another recipe.
        InputError: the checkpoint cannot be read.
    """
    checkpoint = load_checkpoint(run)
    if checkpoint is not None:
        check_resumable(run, checkpoint, config)
        return _restored(config, checkpoint, place, corrected_from)
    texts = _training_texts(config, source)
    learners = tuple(fresh_learner(config, texts, seed, place) for seed in config.seeds)
    return State(learners, _average(config, learners[0]), 0, corrected_from)


def _restored(
    config: TrainConfig, checkpoint: Checkpoint, place: Ranks, corrected_from: int
) -> State:
    learners = tuple(
        restored_learner(config, checkpoint.tokenizer, trained, seed, place)
        for seed, trained in zip(config.seeds, checkpoint.trained, strict=True)
    )
    average = _average(config, learners[0])
    if average is not None and checkpoint.text_average is not None:
        average.load_state_dict(checkpoint.text_average)
    return State(learners, average, checkpoint.step, corrected_from)


def _average(config: TrainConfig, learner: Learner) -> TextAverage | None:
    return TextAverage(learner.model) if config.loss.correction.kind == "momentum" else None


def save(run: Path, config: TrainConfig, state: State) -> None:
    """Write the run's checkpoint."""
    first, *others = state.learners
    trained = first.trained()
    save_checkpoint(
        run,
        Checkpoint(
            step=state.step,
            config=config,
            tokenizer=first.model.tokenizer.to_json(),
            model=trained.model,
            optimiser=trained.optimiser,
            peer=others[0].trained() if others else None,
            text_average=state.average.state_dict() if state.average else None,
        ),
    )


def _training_texts(config: TrainConfig, source: SampleSource) -> list[str]:
    if config.model.text.kind != "fresh":
        return []
    wanted = set(config.anatomies)
    texts = {encoder_text("", anatomy, config.template) for anatomy in wanted}
    for row in source.rows.select(["anatomies", "texts"]).to_pylist():
        for anatomy, text in zip(row["anatomies"], row["texts"], strict=True):
            if anatomy in wanted:
                texts.add(encoder_text(text, anatomy, config.template))
    # sorted: the order of a set of texts differs between processes
    return sorted(texts)
