"""Validation while training: the best is kept, training ends without better, and goes on alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fvlm_data.errors import ConfigError
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.validate import validator
from fvlm_train.model.saved import BEST, read_saved
from fvlm_train.runs import load_checkpoint
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.training.state import Validated
from fvlm_train.training.train import train

SOURCE = toy_source(20, 0)
AUCS = {1: 0.5, 2: 0.7, 3: 0.6, 4: 0.65, 5: 0.9, 6: 0.9}


class Given:
    """A validation whose figures are given, and that counts itself."""

    def __init__(self, start: int = 0) -> None:
        self.asked = start

    def __call__(self, model: Any) -> float:
        assert not model.training
        torch.rand(3)  # what it draws must not show in the training
        self.asked += 1
        return AUCS[self.asked]


def aucs(run: Path) -> list[float | None]:
    lines = (run / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["validation_auc"] for line in lines]


def test_the_best_weights_are_what_is_evaluated(tiny: Any, tmp_path: Path) -> None:
    summary = train(tiny(steps=4), SOURCE, tmp_path / "plain")
    assert summary.validation_auc is None
    config = tiny(steps=4, validation={"every_steps": 1})
    summary = train(config, SOURCE, tmp_path / "run", validate=Given())
    assert aucs(tmp_path / "run") == [0.5, 0.7, 0.6, 0.65]
    assert (summary.validation_auc, summary.validation_step) == (0.7, 2)
    best = read_saved(tmp_path / "run")
    assert (best.step, best.planned_steps) == (2, None)
    plain, run = load_checkpoint(tmp_path / "plain"), load_checkpoint(tmp_path / "run")
    assert plain is not None
    assert run is not None
    assert all(torch.equal(plain.model[name], one) for name, one in run.model.items())
    last = tiny(steps=2, validation={"every_steps": 1, "evaluated": "last"})
    train(last, SOURCE, tmp_path / "last", validate=Given(1))
    assert (tmp_path / "last" / BEST).is_file()
    assert read_saved(tmp_path / "last").step == 2


def test_without_better_it_ends_and_stays_ended(tiny: Any, tmp_path: Path) -> None:
    config = tiny(steps=6, validation={"every_steps": 1, "patience": 2})
    summary = train(config, SOURCE, tmp_path, validate=Given())
    assert (summary.ended, summary.steps, summary.planned_steps) == ("early_stop", 4, 6)
    assert train(config, SOURCE, tmp_path, validate=Given(4)).ended == "early_stop"
    assert len(aucs(tmp_path)) == 4
    assert "no validation was better" in (tmp_path / "MODEL_CARD.md").read_text()


class KilledError(Exception):
    pass


def test_a_killed_run_counts_its_validations_again(tiny: Any, tmp_path: Path) -> None:
    config = tiny(steps=6, validation={"every_steps": 1, "patience": 3})
    whole = train(config, SOURCE, tmp_path / "whole", validate=Given())

    def kill(step: Any, steps: int) -> None:
        if step.step == 4:  # saved is step 2, of which the validation was better
            raise KilledError

    with pytest.raises(KilledError):
        train(config, SOURCE, tmp_path / "parts", kill, validate=Given())
    parts = train(config, SOURCE, tmp_path / "parts", validate=Given(2))
    assert (parts.ended, parts.validation_step) == (whole.ended, whole.validation_step)
    assert aucs(tmp_path / "parts") == aucs(tmp_path / "whole")
    one, other = (load_checkpoint(tmp_path / name) for name in ("whole", "parts"))
    assert one is not None
    assert other is not None
    assert one.validated == other.validated


def test_an_equal_auc_is_none_better() -> None:
    validated = Validated()
    assert [validated.add(auc, step) for step, auc in enumerate([0.5, 0.5, 0.6])] == [
        True,
        False,
        True,
    ]
    assert (validated.step, validated.without_better) == (2, 0)


def test_zero_shot_auc_while_training(tiny: Any, tmp_path: Path) -> None:
    config = tiny(steps=2, validation={"every_steps": 2})
    validate = validator(toy_source(16, 1), TOY_FINDINGS, config, EvaluateConfig())
    summary = train(config, SOURCE, tmp_path, validate=validate)
    assert summary.validation_auc is not None
    assert 0 < summary.validation_auc < 1


def test_a_split_without_findings_cannot_validate(tiny: Any, tmp_path: Path) -> None:
    config = tiny(steps=2, validation={"every_steps": 1})
    healthy = toy_source(4, 1, prevalence=0.0)
    validate = validator(healthy, TOY_FINDINGS, config, EvaluateConfig())
    with pytest.raises(ConfigError, match="no finding is both present and absent"):
        train(config, SOURCE, tmp_path, validate=validate)
    with pytest.raises(ConfigError, match="patience counts validations"):
        tiny(validation={"patience": 2})
