"""What saves memory or time in a step changes nothing of what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fvlm_data.errors import ConfigError
from fvlm_train.config import TrainConfig
from fvlm_train.data.batches import TrainingBatches
from fvlm_train.model.saved import read_saved
from fvlm_train.runs import load_checkpoint
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.training import cached as module
from fvlm_train.training.average import WeightAverage, exchanged
from fvlm_train.training.cached import cached, parts_of
from fvlm_train.training.distributed import Ranks
from fvlm_train.training.inputs import inputs_of
from fvlm_train.training.learner import (
    Learned,
    Learner,
    NotFiniteError,
    fresh_learner,
    learn,
)
from fvlm_train.training.loss import loss_terms
from fvlm_train.training.prompted import labels_of, prompted_findings
from fvlm_train.training.state import training_texts
from fvlm_train.training.train import train

ALONE = Ranks(0, 1, torch.device("cpu"))
STILL = {"image": {"dropout": 0.0}, "text": {"dropout": 0.0}, "pooling_dropout": 0.0}


def stepped(config: TrainConfig) -> tuple[Learner, Learned]:
    """A learner after its first step, and what that told."""
    source = toy_source(20, 0)
    learner = fresh_learner(config, training_texts(config, source), config.seed, ALONE)
    batch = TrainingBatches(source, config)[0]
    terms = loss_terms(batch.facts, 3, config.loss.policy, config.silence)
    prompted = prompted_findings(config, source.rows, TOY_FINDINGS)
    prompts = prompted.texts if prompted else None
    labels = labels_of(batch.facts, prompted, config.silence) if prompted else None
    inputs = inputs_of(batch, terms, learner.model.tokenizer, ALONE.device, prompts)
    torch.manual_seed(1)
    return learner, learn(learner, inputs, terms, config, ALONE, labels)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.full), 3])
def test_the_gradient_of_parts_is_that_of_the_whole_batch(tiny: Any, size: int) -> None:
    over = {"model": STILL, "loss": {"prompts": {"weight": 2.0, "least_positives": 2}}}
    whole, of_whole = stepped(tiny(**over))
    parts, of_parts = stepped(tiny(**over, compute={"micro_batch": size}))
    assert of_parts.losses == pytest.approx(of_whole.losses, rel=1e-5)
    assert of_parts.prompt_loss == pytest.approx(of_whole.prompt_loss, rel=1e-5)
    expected, found = gradients(whole.model), gradients(parts.model)
    assert found.keys() == expected.keys()
    assert "temperature" in found
    largest = max(float(one.abs().max()) for one in expected.values())
    for name, one in expected.items():
        torch.testing.assert_close(found[name], one, atol=1e-5 * largest, rtol=1e-4, msg=name)


def test_the_second_pass_drops_what_the_first_dropped(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[list[Tensor]] = [[], []]

    def noted(one: nn.Module, inputs: Any, size: int, forward: Any) -> Any:
        def told(part_module: nn.Module, part: Any) -> Any:
            found = forward(part_module, part)
            passes[torch.is_grad_enabled()].append(found.image_bae.detach())
            return found

        kept = cached(one, inputs, size, told)
        propagate = type(kept).propagate
        monkeypatch.setattr(
            module.Cached, "propagate", lambda self, *given: propagate(self, *given[:2], told)
        )
        return kept

    monkeypatch.setattr("fvlm_train.training.learner.cached", noted)
    stepped(tiny(model={"image": {"dropout": 0.5}}, compute={"micro_batch": 3}))
    first, second = passes
    assert len(first) == len(second) == 3
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(("samples", "texts", "size"), [(8, 5, 3), (8, 1, 3), (2, 9, 2)])
def test_parts_hold_each_sample_and_text_once(samples: int, texts: int, size: int) -> None:
    parts = parts_of(samples, texts, size)
    assert [n for part in parts for n in range(samples)[part.images]] == list(range(samples))
    given = [n for part in parts if not part.spare for n in part.texts.tolist()]
    assert sorted(given) == list(range(texts))
    assert all(len(part.texts) for part in parts)


def test_statistics_of_a_whole_batch_are_not_split(tiny: Any) -> None:
    with pytest.raises(ConfigError, match="micro_batch splits a batch"):
        tiny(model={"organ": {"features": True}}, compute={"micro_batch": 2})


def weights(run: Path) -> dict[str, Tensor]:
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    return checkpoint.model


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_checkpointing_changes_no_bit(tiny: Any, tmp_path: Path) -> None:
    for name, on in (("kept", False), ("again", True)):
        config = tiny(steps=2, compute={"checkpointing": on})
        train(config, toy_source(20, 0), tmp_path / name)
    assert same(weights(tmp_path / "kept"), weights(tmp_path / "again"))


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")  # of torch's compiler, of its own code
def test_compiled_blocks_compute_the_same(tiny: Any) -> None:
    plain, _ = stepped(tiny(model=STILL))
    compiled, _ = stepped(tiny(model=STILL, compute={"compile": True}))
    for name, one in gradients(plain.model).items():
        torch.testing.assert_close(gradients(compiled.model)[name], one, atol=1e-4, rtol=1e-3)


def test_an_average_follows_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    average = WeightAverage(model, 0.5)
    nn.init.constant_(model.weight, 1.0)
    average.follow(model, 0)  # decay 1 / 10
    assert float(average.weights["weight"]) == pytest.approx(0.9)
    nn.init.constant_(model.weight, 2.0)
    average.follow(model, 1000)  # decay 1 / 2
    assert float(average.weights["weight"]) == pytest.approx(1.45)
    with exchanged(model, average.weights):
        assert model.weight.item() == pytest.approx(1.45)
    assert model.weight.item() == 2.0


class KilledError(Exception):
    pass


def test_float16_and_the_average_go_on_bit_by_bit(tiny: Any, tmp_path: Path) -> None:
    config = tiny(steps=4, precision="float16", average={"decay": 0.9})
    train(config, toy_source(20, 0), tmp_path / "whole")

    def kill(step: Any, steps: int) -> None:
        if step.step == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train(config, toy_source(20, 0), tmp_path / "parts", kill)
    train(config, toy_source(20, 0), tmp_path / "parts")
    whole, parts = load_checkpoint(tmp_path / "whole"), load_checkpoint(tmp_path / "parts")
    assert whole is not None
    assert parts is not None
    assert same(whole.model, parts.model)
    assert whole.average is not None
    assert parts.average is not None
    assert same(whole.average, parts.average)
    assert whole.scaler == parts.scaler
    assert whole.scaler
    # the average is what a run is evaluated by, unless it is told otherwise
    assert same(read_saved(tmp_path / "parts").weights, whole.average)
    assert not same(whole.average, whole.model)
    last = tiny(steps=1, average={"decay": 0.9, "evaluated": False})
    train(last, toy_source(20, 0), tmp_path / "last")
    assert same(read_saved(tmp_path / "last").weights, weights(tmp_path / "last"))


def test_a_gradient_that_float16_cannot_hold_moves_nothing(tiny: Any) -> None:
    config = tiny(precision="float16")
    source = toy_source(20, 0)
    learner = fresh_learner(config, training_texts(config, source), 0, ALONE)
    before = {name: one.clone() for name, one in learner.model.state_dict().items()}
    batch = TrainingBatches(source, config)[0]
    terms = loss_terms(batch.facts, 3, config.loss.policy, config.silence)
    inputs = inputs_of(batch, terms, learner.model.tokenizer, ALONE.device)
    learner.scaler.load_state_dict(learner.scaler.state_dict() | {"scale": 2.0**120})
    learned = learn(learner, inputs, terms, config, ALONE)
    assert learned.gradient_norm is None
    assert same(before, learner.model.state_dict())
    assert learner.scaler.get_scale() == 2.0**119
    learner.scaler.load_state_dict(learner.scaler.state_dict() | {"scale": 0.5})
    with torch.no_grad():
        # a finite loss whose gradient is not, at any scale
        learner.model.temperature.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(NotFiniteError, match="gradient"):
        learn(learner, inputs, terms, config, ALONE)
