from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from fvlm_data.errors import ConfigError, InputError
from fvlm_train.config import OptimiserConfig
from fvlm_train.runs import load_checkpoint, load_run
from fvlm_train.testing import MemorySource, toy_sample, toy_source
from fvlm_train.training.learner import make_optimiser
from fvlm_train.training.steps import Step, learning_rate
from fvlm_train.training.train import train

GOLDEN = Path(__file__).with_name("golden_losses.json")


def weights(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    return checkpoint.model


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def logged(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    timed = ("time_s", "wait_s")
    return [{key: value for key, value in line.items() if key not in timed} for line in lines]


def test_repeats_bit_by_bit(tiny: Any, tmp_path: Path) -> None:
    config = tiny(flips={"z": 0.3}, crop_zyx=[16, 48, 48], model={"text": {"token_dropout": 0.2}})
    for run in ("a", "b"):
        train(config, toy_source(20, 0), tmp_path / run)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert logged(tmp_path / "a") == logged(tmp_path / "b")
    train(config.model_copy(update={"seed": 1}), toy_source(20, 0), tmp_path / "c")
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


class KilledError(Exception):
    pass


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_killed_and_resumed_equals_undisturbed(tiny: Any, tmp_path: Path, killed_at: int) -> None:
    config, source = tiny(), toy_source(20, 0)
    train(config, source, tmp_path / "whole")

    def kill(step: Step, steps: int) -> None:
        if step.step == killed_at:
            raise KilledError

    with pytest.raises(KilledError):
        train(config, source, tmp_path / "parts", kill)
    summary = train(config, source, tmp_path / "parts")
    assert summary.steps == 6
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [
        "MODEL_CARD.md",
        "checkpoint.pt",
        "config.json",
        "data.json",
        "events.out.tfevents.fvlm",
        "log.csv",
        "log.jsonl",
        "summary.json",
    ]


def test_workers_change_nothing(tiny: Any, tmp_path: Path) -> None:
    source = toy_source(20, 0)
    train(tiny(steps=3), source, tmp_path / "alone")
    train(tiny(steps=3, loader_workers=1), source, tmp_path / "workers")
    assert same(weights(tmp_path / "alone"), weights(tmp_path / "workers"))


def test_a_finished_run_is_left_as_it_is(tiny: Any, tmp_path: Path) -> None:
    train(tiny(), toy_source(20, 0), tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert train(tiny(), toy_source(20, 0), tmp_path).steps == 6
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert len(logged(tmp_path)) == 6


def test_another_recipe_does_not_go_on_with_a_run(tiny: Any, tmp_path: Path) -> None:
    train(tiny(), toy_source(20, 0), tmp_path)
    with pytest.raises(ConfigError, match=r"train\.optimiser\.weight_decay was 0\.05 and is now"):
        train(tiny(optimiser={"weight_decay": 0.1}), toy_source(20, 0), tmp_path)


def test_damaged_checkpoint_is_named(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read"):
        train(tiny(), toy_source(20, 0), tmp_path)
    with pytest.raises(InputError, match=r"no checkpoint\.pt there"):
        load_run(tmp_path / "nowhere")


def test_time_limit_saves_and_stops(tiny: Any, tmp_path: Path) -> None:
    summary = train(tiny(steps=50, time_limit_s=1e-6), toy_source(20, 0), tmp_path)
    assert (summary.steps, summary.planned_steps) == (1, 50)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 1


def test_no_abnormal_sample_in_a_batch_is_a_step_without_loss(tiny: Any, tmp_path: Path) -> None:
    healthy = [toy_sample(n, 0, prevalence=0.0) for n in range(16)]
    sick = next(
        sample
        for sample in (toy_sample(n, 1, prevalence=0.4) for n in range(50))
        if sample.states[0] == "abnormal"
    )
    summary = train(tiny(steps=2, batch_size=8), MemorySource([*healthy[:15], sick]), tmp_path)
    assert summary.steps_without_loss == 1
    assert sorted(line["loss"] is None for line in logged(tmp_path)) == [False, True]


@pytest.mark.parametrize(
    ("patients", "over", "message"),
    [
        (4, {}, r"batch_size is 8 but split train holds 4 samples"),
        (8, {"anatomies": ["liver", "spleen"]}, r"holds spleen, which no sample .* shows"),
    ],
)
def test_what_cannot_train_is_refused_before_work(
    tiny: Any, tmp_path: Path, patients: int, over: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(tiny(**over), toy_source(patients, 0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_abnormal_is_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no trained anatomy is abnormal"):
        train(tiny(), toy_source(8, 0, prevalence=0.0), tmp_path)


def test_schedule_by_hand() -> None:
    config = OptimiserConfig(learning_rate=1.0, min_learning_rate=0.0, warmup_steps=2)
    rates = [round(learning_rate(step, 7, config), 3) for step in range(7)]
    assert rates == [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]


def test_weight_decay_reaches_the_matrices(tiny: Any, tmp_path: Path) -> None:
    train(tiny(steps=1), toy_source(8, 0), tmp_path)
    model, _ = load_run(tmp_path)
    groups = make_optimiser(model, OptimiserConfig(weight_decay=0.05)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    named = {id(weight): name for name, weight in model.named_parameters()}
    spared = {named[id(weight)] for weight in groups[1]["params"]}
    assert {"temperature", "pooling.queries", "image_encoder.positions"} <= spared
    assert "pooling.projection_weight" not in spared
    assert "image_encoder.blocks.0.attn.qkv.weight" not in spared
    everything = OptimiserConfig(weight_decay=0.01, decay="everything")
    groups = make_optimiser(model, everything).param_groups
    assert [group["weight_decay"] for group in groups] == [0.01]


def test_losses_of_twenty_steps_are_as_stored(tiny: Any, tmp_path: Path) -> None:
    """The curve is remade by remake_golden_losses.py; 1 % leaves room for other CPUs."""
    losses: list[float | None] = []
    train(tiny(steps=20), toy_source(24, 0), tmp_path, lambda step, _: losses.append(step.loss))
    assert losses == pytest.approx(json.loads(GOLDEN.read_text()), rel=0.01)


def test_log_lines_are_whole_steps(tiny: Any, tmp_path: Path) -> None:
    seen: list[Step] = []
    train(tiny(), toy_source(20, 0), tmp_path, lambda step, _: seen.append(step))
    assert [asdict(step)["step"] for step in seen] == [1, 2, 3, 4, 5, 6]
    for line in logged(tmp_path):
        assert line["loss"] == pytest.approx(sum(line["losses"].values()))
        assert set(line["losses"]) <= {"liver", "kidney", "lung"}
