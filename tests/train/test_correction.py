"""Co-teaching and the momentum text encoder: who corrects which targets, and when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fvlm_data.errors import ConfigError
from fvlm_train.config import TrainConfig
from fvlm_train.data.batches import TrainingBatches
from fvlm_train.model import FVLM
from fvlm_train.runs import Checkpoint, load_checkpoint, load_run
from fvlm_train.testing import MemorySource, toy_sample, toy_source
from fvlm_train.training.correction import (
    TextAverage,
    corrected_by_average,
    corrected_by_peer,
    corrected_from,
    pairs_of,
)
from fvlm_train.training.distributed import Ranks
from fvlm_train.training.inputs import Inputs, inputs_of
from fvlm_train.training.loss import Term, loss_terms
from fvlm_train.training.steps import Step
from fvlm_train.training.train import train

ALONE = Ranks(0, 1, torch.device("cpu"))
KINDS = ("co_teaching", "momentum")
LIVER = 0


def correcting(kind: str, warmup_epochs: float = 0, **over: Any) -> dict[str, Any]:
    return {"correction": {"kind": kind, "warmup_epochs": warmup_epochs, **over}}


def held(run: Path) -> Checkpoint:
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    return checkpoint


def same(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def logged(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    timed = ("time_s", "wait_s")
    return [{key: value for key, value in line.items() if key not in timed} for line in lines]


def texts_of(source: MemorySource) -> list[str]:
    return sorted({text for sample in source.samples for text in sample.texts})


def first_batch(
    config: TrainConfig, source: MemorySource, model: FVLM
) -> tuple[list[Term], Inputs]:
    batch = TrainingBatches(source, config)[0]
    terms = loss_terms(batch.facts, len(config.anatomies), config.loss.policy, config.silence)
    return terms, inputs_of(batch, terms, model.tokenizer, ALONE.device)


def entries(target_mm: torch.Tensor) -> torch.Tensor:
    """Targets on the scale on which a sample and itself are 1."""
    return target_mm / target_mm.diagonal()[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_only_abnormal_pairs_get_another_target(tiny: Any, kind: str) -> None:
    config = tiny(batch_size=20, loss=correcting(kind))
    source = toy_source(20, 0)
    torch.manual_seed(0)
    model = FVLM.for_training(config.model, config.anatomies, texts_of(source))
    terms, inputs = first_batch(config, source, model)
    if kind == "co_teaching":
        corrected = corrected_by_peer(terms, inputs, model, config, ALONE)
    else:
        average = TextAverage(model)
        corrected = corrected_by_average(terms, inputs, average, model.temperature, config, ALONE)
    assert pairs_of(corrected) > 0
    for before, after in zip(terms, corrected, strict=True):
        for was, now in (
            (before.target_mm, after.target_mm),
            (before.text_target_mm, after.text_target_mm),
        ):
            moved_mm = ~torch.isclose(entries(was), entries(now), atol=1e-6)
            assert torch.equal(moved_mm, after.abnormal_mm)
            torch.testing.assert_close(now.sum(dim=1), torch.ones(len(now)))
        if kind == "momentum":  # what the policy counts as positive stays so
            assert not (after.abnormal_mm & (before.target_mm > 0)).any()
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())


def test_a_peer_is_asked_from_image_to_text_and_from_text_to_image(tiny: Any) -> None:
    config = tiny(batch_size=20, loss=correcting("co_teaching", alpha=0.25))
    source = toy_source(20, 0)
    torch.manual_seed(0)
    peer = FVLM.for_training(config.model, config.anatomies, texts_of(source))
    terms, inputs = first_batch(config, source, peer)
    (corrected, *_) = corrected_by_peer(terms, inputs, peer, config, ALONE)
    peer.eval()
    with torch.no_grad():
        image_bae = peer.encode_images(inputs.image_bzyx, inputs.tokens_ban)
        text_bae = peer.encode_tokens(inputs.ids_ts, inputs.mask_ts)[inputs.place_ba]
    members, anatomy = terms[0].members_m, terms[0].anatomy
    logits = image_bae[members, anatomy] @ text_bae[members, anatomy].T / 0.07
    for given, now, logits_mm in (
        (terms[0].target_mm, corrected.target_mm, logits),
        (terms[0].text_target_mm, corrected.text_target_mm, logits.T),
    ):
        pair_mm = terms[0].abnormal_mm
        expected = 0.25 * entries(given) + 0.75 * logits_mm.softmax(dim=1)
        torch.testing.assert_close(entries(now)[pair_mm], expected[pair_mm])
    assert not torch.allclose(corrected.target_mm, corrected.text_target_mm)


def test_the_temperature_of_the_configuration_sharpens(tiny: Any) -> None:
    source = toy_source(20, 0)
    torch.manual_seed(0)
    model = FVLM.for_training(tiny().model, tiny().anatomies, texts_of(source))
    spread = []
    for temperature in (0.02, 10.0):
        config = tiny(batch_size=20, loss=correcting("momentum", temperature=temperature))
        terms, inputs = first_batch(config, source, model)
        (term, *_) = corrected_by_average(
            terms, inputs, TextAverage(model), model.temperature, config, ALONE
        )
        spread.append(float(entries(term.target_mm)[term.abnormal_mm].std()))
    assert spread[0] > 10 * spread[1]


# Learns within 60 steps to tell a cyst from a calcification.
QUICK = {
    "anatomies": ["liver"],
    "batch_size": 24,
    "steps": 60,
    "model": {
        "image": {"width": 64, "depth": 1, "heads": 4, "dropout": 0.0, "stem": "histogram"},
        "text": {"width": 64, "heads": 4, "dropout": 0.0, "pooling": "mean"},
        "projection_dim": 64,
        "pooling_dropout": 0.0,
        "temperature_init": 0.2,
    },
    "optimiser": {"learning_rate": 2e-3, "clip_norm": 1.0},
}


@pytest.mark.slow
def test_the_same_disease_in_other_words_weighs_more_than_another(
    tiny: Any, tmp_path: Path
) -> None:
    """The policy knows identical texts only; a model that has learned so judges the rest."""
    drawn = (toy_sample(number, 3, prevalence=0.5) for number in range(60))
    samples = [sample for sample in drawn if sample.states[LIVER] == "abnormal"][:24]
    source = MemorySource(samples)
    train(tiny(**QUICK, loss={"policy": "reference"}), source, tmp_path)
    model, config = load_run(tmp_path)
    terms, inputs = first_batch(config, source, model)
    shown = [samples[index] for index in TrainingBatches(source, config).indexes(0)]
    labels = [sample.labels[LIVER] for sample in shown]
    alike_mm = torch.tensor([[one == other for other in labels] for one in labels])
    average, temperature = TextAverage(model), model.temperature
    for (term,) in (
        corrected_by_peer(terms, inputs, model, config, ALONE),
        corrected_by_average(terms, inputs, average, temperature, config, ALONE),
    ):
        negative_mm = term.abnormal_mm & (terms[0].target_mm == 0)
        weight_mm = entries(term.target_mm)
        for part_mm in (alike_mm & negative_mm, ~alike_mm & negative_mm):
            assert int(part_mm.sum()) > 50
        alike = float(weight_mm[alike_mm & negative_mm].mean())
        assert alike > 5 * float(weight_mm[~alike_mm & negative_mm].mean())


@pytest.mark.parametrize("kind", KINDS)
def test_the_warm_up_is_a_run_without_correction(tiny: Any, tmp_path: Path, kind: str) -> None:
    """20 samples in batches of 8 are 2 steps an epoch: 2 epochs end with step 4."""
    source = toy_source(20, 0, prevalence=0.4)
    train(tiny(), source, tmp_path / "plain")
    train(tiny(loss=correcting(kind, warmup_epochs=2)), source, tmp_path / "corrected")
    plain, corrected = logged(tmp_path / "plain"), logged(tmp_path / "corrected")
    told = ("loss", "losses", "temperature")
    assert [[line[key] for key in told] for line in plain[:4]] == [
        [line[key] for key in told] for line in corrected[:4]
    ]
    assert all(line["corrected_pairs"] == 0 for line in [*plain, *corrected[:4]])
    assert all(line["corrected_pairs"] > 0 for line in corrected[4:])
    assert plain[4]["loss"] != corrected[4]["loss"]


def test_the_average_is_exponential(tiny: Any, tmp_path: Path) -> None:
    source = toy_source(20, 0)
    seen: list[Checkpoint] = []
    config = tiny(steps=4, checkpoint_every_steps=1, loss=correcting("momentum", momentum=0.9))

    def keep(step: Step, steps: int) -> None:
        if step.step > 1:
            seen.append(held(tmp_path))  # that of the step before

    train(config, source, tmp_path, keep)
    torch.manual_seed(config.seed)
    expected = dict(
        FVLM.for_training(config.model, config.anatomies, texts_of(source)).state_dict()
    )
    for checkpoint in [*seen, held(tmp_path)]:
        assert checkpoint.text_average is not None
        assert {name.partition(".")[0] for name in checkpoint.text_average} == {
            "text_encoder",
            "text_projection",
        }
        for name, average in checkpoint.text_average.items():
            expected[name] = 0.9 * expected[name] + 0.1 * checkpoint.model[name]
            torch.testing.assert_close(average, expected[name], rtol=1e-5, atol=1e-7)
    assert not torch.equal(
        held(tmp_path).model["text_projection.weight"], expected["text_projection.weight"]
    )


def test_peers_differ_in_weights_and_in_order_of_the_data(tiny: Any, tmp_path: Path) -> None:
    config = tiny(loss=correcting("co_teaching"))
    source = toy_source(20, 0)
    train(config, source, tmp_path / "run")
    checkpoint = held(tmp_path / "run")
    assert checkpoint.peer is not None
    assert checkpoint.model.keys() == checkpoint.peer.model.keys()
    drawn = [name for name in checkpoint.model if name.endswith("proj.weight")]
    assert drawn
    for name in drawn:
        assert not torch.allclose(checkpoint.model[name], checkpoint.peer.model[name], atol=1e-2)
    first, second = (
        TrainingBatches(source, config.model_copy(update={"seed": seed})).indexes(0)
        for seed in config.seeds
    )
    assert set(first) != set(second)
    losses = [(line["loss"], line["peer_loss"]) for line in logged(tmp_path / "run")]
    assert all(peer is not None and own != peer for own, peer in losses)
    model, _ = load_run(tmp_path / "run")
    assert same(model.state_dict(), checkpoint.model)


def test_a_peer_is_what_its_seed_makes_of_it_during_warm_up(tiny: Any, tmp_path: Path) -> None:
    """Each of the two is a run of its own until they teach each other."""
    source = toy_source(20, 0)
    config = tiny(loss=correcting("co_teaching", warmup_epochs=2, peer_seed=7))
    train(config, source, tmp_path / "pair")
    train(tiny(seed=7), source, tmp_path / "alone")
    pair, alone = logged(tmp_path / "pair"), logged(tmp_path / "alone")
    assert [line["peer_loss"] for line in pair[:4]] == [line["loss"] for line in alone[:4]]
    assert pair[4]["peer_loss"] != alone[4]["loss"]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("killed_at", [3, 5])
def test_killed_and_resumed_equals_undisturbed(
    tiny: Any, tmp_path: Path, kind: str, killed_at: int
) -> None:
    """Killed in the warm-up, and after it."""
    config = tiny(loss=correcting(kind, warmup_epochs=1.5))
    source = toy_source(20, 0, prevalence=0.4)
    train(config, source, tmp_path / "whole")

    def kill(step: Step, steps: int) -> None:
        if step.step == killed_at:
            raise KilledError

    with pytest.raises(KilledError):
        train(config, source, tmp_path / "parts", kill)
    train(config, source, tmp_path / "parts")
    whole, parts = held(tmp_path / "whole"), held(tmp_path / "parts")
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")
    assert any(line["corrected_pairs"] for line in logged(tmp_path / "whole"))
    assert same(whole.model, parts.model)
    if kind == "momentum":
        assert same(whole.text_average, parts.text_average)
    else:
        assert whole.peer is not None
        assert parts.peer is not None
        assert same(whole.peer.model, parts.peer.model)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_without_loss_leaves_all_as_it_was(tiny: Any, tmp_path: Path, kind: str) -> None:
    """One sick sample of 16: of two batches of 8 one has a loss, for each of the two models."""
    healthy = [toy_sample(n, 0, prevalence=0.0) for n in range(15)]
    sick = next(
        sample
        for sample in (toy_sample(n, 1, prevalence=0.4) for n in range(50))
        if sample.states[LIVER] == "abnormal"
    )
    source = MemorySource([*healthy, sick])
    before: list[Checkpoint] = []

    def keep(step: Step, steps: int) -> None:
        if step.step > 1:
            before.append(held(tmp_path))

    config = tiny(steps=4, checkpoint_every_steps=1, loss=correcting(kind))
    train(config, source, tmp_path, keep)
    states = [*before, held(tmp_path)]
    lines = logged(tmp_path)
    silent = 0
    for line, was, now in zip(lines[1:], states, states[1:], strict=False):
        moved = not same(was.model, now.model)
        assert moved == (line["loss"] is not None)
        silent += not moved
        if was.text_average is not None:
            assert same(was.text_average, now.text_average) != moved
        if was.peer is not None:
            assert now.peer is not None
            assert same(was.peer.model, now.peer.model) == (line["peer_loss"] is None)
    assert silent


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_corrects_nearly_the_same(tiny: Any, tmp_path: Path, kind: str) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        config = tiny(steps=3, precision=precision, loss=correcting(kind))
        train(config, toy_source(20, 0, prevalence=0.4), tmp_path / precision)
        lines = logged(tmp_path / precision)
        assert all(line["corrected_pairs"] > 0 for line in lines)
        losses.append([line["loss"] for line in lines])
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert losses[0] != losses[1]


def test_a_run_that_began_before_there_were_corrections_goes_on(tiny: Any, tmp_path: Path) -> None:
    def kill(step: Step, steps: int) -> None:
        if step.step == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train(tiny(), toy_source(20, 0), tmp_path, kill)
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    config = json.loads(content["config"])
    del config["loss"]["correction"], content["peer"], content["text_average"]
    torch.save(content | {"config": json.dumps(config)}, tmp_path / "checkpoint.pt")
    assert train(tiny(), toy_source(20, 0), tmp_path).steps == 6


def test_a_run_does_not_change_its_correction_in_the_middle(tiny: Any, tmp_path: Path) -> None:
    train(tiny(), toy_source(20, 0), tmp_path)
    with pytest.raises(ConfigError, match=r"train\.loss\.correction\.kind was none and is now"):
        train(tiny(loss=correcting("momentum")), toy_source(20, 0), tmp_path)


def test_a_warm_up_that_outlasts_the_training_is_refused(tiny: Any, tmp_path: Path) -> None:
    config = tiny(loss=correcting("momentum", warmup_epochs=3))
    with pytest.raises(ConfigError, match=r"warmup_epochs is 3, 6 steps, but the .* has 6"):
        train(config, toy_source(20, 0), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert corrected_from(tiny(), steps_per_epoch=2, steps=6) == 6


def test_peers_of_one_seed_are_refused(tiny: Any) -> None:
    with pytest.raises(ConfigError, match=r"peer_seed is seed, 42: two equal models"):
        tiny(loss=correcting("co_teaching", peer_seed=42))
    assert tiny(loss=correcting("co_teaching")).seeds == (42, 43)
    assert tiny(loss=correcting("momentum", peer_seed=42)).seeds == (42,)
