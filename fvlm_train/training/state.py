"""What training changes, and its way out of a run's checkpoint and into it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_train.data.content import sample_digests
from fvlm_train.data.texts import encoder_text
from fvlm_train.runs import (
    Checkpoint,
    check_resumable,
    check_same_data,
    check_same_prompts,
    load_checkpoint,
)
from fvlm_train.training.average import WeightAverage
from fvlm_train.training.correction import TextAverage
from fvlm_train.training.dictionary import dictionary_of
from fvlm_train.training.learner import Learner, fresh_learner, restored_learner
from fvlm_train.training.prompted import prompted_findings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from fvlm_train.config import TrainConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.prompts import Finding
    from fvlm_train.training.dictionary import Dictionary
    from fvlm_train.training.distributed import Ranks
    from fvlm_train.training.prompted import Prompted


@dataclass(slots=True)
class Validated:
    """The best mean AUC so far, its step, and validations since then; in the checkpoint."""

    auc: float | None = None
    step: int = 0
    without_better: int = 0

    def add(self, auc: float, step: int) -> bool:
        """Count a validation; whether it is the best so far."""
        better = self.auc is None or auc > self.auc
        if better:
            self.auc, self.step, self.without_better = auc, step, 0
        else:
            self.without_better += 1
        return better

    def as_saved(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(slots=True)
class State:
    """What steps change: the run's model, with co-teaching its peer, with momentum its average.

    `weight_average` is that of all weights (train.average), None without; `validated` what
    validations have brought so far.
    `digests` are those of the samples that it learns from; of its different `texts`, `cut_texts`
    are longer than the text encoder reads. `spacing_mm` is that of the samples, along z, y, x.
    """

    learners: tuple[Learner, ...]
    average: TextAverage | None
    step: int
    corrected_from: int
    digests: Tensor | None = None
    texts: int = 0
    cut_texts: int = 0
    prompted: Prompted | None = None
    dictionary: Dictionary | None = None
    spacing_mm: tuple[float, float, float] | None = None
    weight_average: WeightAverage | None = None
    validated: Validated = field(default_factory=Validated)

    def checkpoint(self, config: TrainConfig, steps: int) -> Checkpoint:
        """All that a run goes on from; `steps` are planned."""
        first, *others = self.learners
        trained = first.trained()
        return Checkpoint(
            step=self.step,
            config=config,
            tokenizer=first.model.tokenizer.to_json(),
            model=trained.model,
            optimiser=trained.optimiser,
            peer=others[0].trained() if others else None,
            text_average=self.average.state_dict() if self.average else None,
            text_shape=first.model.text_encoder.shape,
            samples=self.digests,
            planned_steps=steps,
            prompts=_sentences(self.prompted, self.dictionary) or None,
            spacing_mm=self.spacing_mm,
            scaler=trained.scaler,
            average=self.weight_average.weights if self.weight_average else None,
            validated=self.validated.as_saved(),
        )


def start(
    config: TrainConfig,
    source: SampleSource,
    run: Path,
    place: Ranks,
    corrected_from: int,
    *,
    new_data: bool = False,
    findings: Sequence[Finding] = (),
) -> State:
    """From the run's checkpoint, else from the seeds; `new_data` lets a run go on with others.

    `findings` are the vocabulary's, for train.loss.prompts and dictionary_negatives.

    Raises:
        ConfigError: the checkpoint belongs to another recipe, or to other data.
        InputError: the checkpoint cannot be read.
    """
    checkpoint = load_checkpoint(run)
    # only a store has pairs that review holds apart
    digests = sample_digests(source.rows, getattr(source, "apart", None))
    texts = training_texts(config, source)
    prompted = prompted_findings(config, source.rows, findings)
    dictionary = dictionary_of(config, findings)
    sentences = _sentences(prompted, dictionary)
    if checkpoint is not None:
        check_resumable(run, checkpoint, config)
        if not new_data:
            check_same_data(run, checkpoint, digests)
            check_same_prompts(run, checkpoint, sentences)
        state = _restored(config, checkpoint, place, corrected_from)
    else:
        fresh = texts if config.model.text.kind == "fresh" else []
        if fresh and sentences:
            # its word pieces must spell the prompts too
            fresh = sorted({*texts, *(text for said in sentences.values() for text in said)})
        learners = tuple(fresh_learner(config, fresh, seed, place) for seed in config.seeds)
        state = State(learners, _average(config, learners[0]), 0, corrected_from)
    decay = config.average.decay
    if decay is not None:
        state.weight_average = WeightAverage(state.learners[0].model, decay)
        if checkpoint is not None and checkpoint.average is not None:
            state.weight_average.load(checkpoint.average)
    if checkpoint is not None and checkpoint.validated:
        state.validated = Validated(**checkpoint.validated)
    state.digests = digests
    state.prompted, state.dictionary = prompted, dictionary
    state.spacing_mm = median_spacing_mm(source)
    state.texts = len(texts)
    state.cut_texts = state.learners[0].model.tokenizer.count_cut(texts)
    return state


def _sentences(prompted: Prompted | None, dictionary: Dictionary | None) -> dict[str, list[str]]:
    """All prompts by finding that training learns from: with these it is no longer zero-shot."""
    found = dict(prompted.sentences) if prompted else {}
    for finding, said in (dictionary.sentences if dictionary else {}).items():
        found[finding] = list(dict.fromkeys([*found.get(finding, ()), *said]))
    return found


def _restored(
    config: TrainConfig, checkpoint: Checkpoint, place: Ranks, corrected_from: int
) -> State:
    learners = tuple(
        restored_learner(checkpoint, trained, config, seed, place)
        for seed, trained in zip(config.seeds, checkpoint.trained, strict=True)
    )
    average = _average(config, learners[0])
    if average is not None and checkpoint.text_average is not None:
        average.load_state_dict(checkpoint.text_average)
    return State(learners, average, checkpoint.step, corrected_from)


def _average(config: TrainConfig, learner: Learner) -> TextAverage | None:
    return TextAverage(learner.model) if config.loss.correction.kind == "momentum" else None


def median_spacing_mm(source: SampleSource) -> tuple[float, float, float] | None:
    """Median spacing along z, y, x of the samples; None where their index does not tell it.

    What is embedded later must have the same, or organs would have another size.
    """
    if "spacing_mm" not in source.rows.column_names:
        return None
    z, y, x = np.median(np.array(source.rows["spacing_mm"].to_pylist(), float), axis=0).tolist()
    return z, y, x


def training_texts(config: TrainConfig, source: SampleSource) -> list[str]:
    """The different texts of the trained anatomies as the text encoder reads them, sorted."""
    wanted = set(config.anatomies)
    texts = {encoder_text("", anatomy, config.template) for anatomy in wanted}
    for row in source.rows.select(["anatomies", "texts"]).to_pylist():
        for anatomy, text in zip(row["anatomies"], row["texts"], strict=True):
            if anatomy in wanted:
                texts.add(encoder_text(text, anatomy, config.template))
    # sorted: the order of a set of texts differs between processes
    return sorted(texts)
