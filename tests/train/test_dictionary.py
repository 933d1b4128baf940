"""Prompts of findings that an image does not have, as further negatives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from fvlm_data.errors import ConfigError
from fvlm_train.config import EvaluateConfig
from fvlm_train.config.loss import LossConfig
from fvlm_train.data.crops import Facts
from fvlm_train.evaluate.zero_shot import zero_shot
from fvlm_train.runs import load_checkpoint
from fvlm_train.testing import TOY_FINDINGS, ToyFinding, toy_source
from fvlm_train.training.dictionary import dictionary_of, drawn
from fvlm_train.training.loss import Term, contrastive_losses
from fvlm_train.training.steps import Step
from fvlm_train.training.train import train

ASKED = {"dictionary_negatives": 2}
KINDS = (
    ToyFinding("cyst", "kidney", 0, "cyst"),
    ToyFinding("complex_cyst", "kidney", 0, "complex cyst", implies=("cyst",)),
    ToyFinding("odd_cyst", "kidney", 0, "odd cyst", implies=("complex_cyst",)),
    ToyFinding("stone", "kidney", 0, "stone"),
    ToyFinding("liver_cyst", "liver", 0, "liver cyst"),
)


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(shape), dim=-1)


def term(count: int, anatomy: int = 0) -> Term:
    eye = torch.eye(count)
    pairs = torch.zeros(count, count, dtype=torch.bool)
    return Term(anatomy, torch.arange(count), eye, eye, pairs, torch.ones(count) > 0)


def facts(*labels: str) -> Facts:
    count = 3
    return Facts(
        sample_id="s", study_id="st", intact=(True,) * count, states=("abnormal",) * count,
        signatures=(0,) * count, findings=(frozenset(),) * count,
        labels=(frozenset(), frozenset(labels), frozenset()), texts=("",) * count,
        encoder_texts=("",) * count,
    )  # fmt: skip


def test_who_may_have_a_finding_is_not_pushed_from_it(tiny: Any):
    dictionary = dictionary_of(tiny(loss={"dictionary_negatives": 9}), KINDS)
    assert dictionary is not None
    known = [facts(), facts("cyst"), facts("complex_cyst", "cyst"), facts("stone")]
    told = drawn(dictionary, known, [term(4, 1)], 0)[1]
    names = ("complex_cyst", "cyst", "odd_cyst", "stone")
    assert told.texts == tuple(
        next(one for one in KINDS if one.id == name).prompts.positive for name in names
    )
    assert told.lacks_mk.tolist() == [
        [True, True, True, True],
        # of a cyst the kind is not told
        [False, False, False, True],
        [False, False, False, True],
        [True, True, True, False],
    ]


def test_a_step_draws_so_many_and_the_same_from_a_seed(tiny: Any):
    dictionary = dictionary_of(tiny(loss={"dictionary_negatives": 2}), KINDS)
    assert dictionary is not None
    sets = {drawn(dictionary, [facts()], [term(1, 1)], seed)[1].texts for seed in range(30)}
    assert {len(one) for one in sets} == {2}
    assert len(sets) == 6
    one, two = (drawn(dictionary, [facts()], [term(1, 1)], 7)[1].texts for _ in range(2))
    assert one == two
    # no finding lies in the lung
    assert drawn(dictionary, [facts()], [term(1, 2)], 0) == {}


@pytest.mark.parametrize("setting", [LossConfig(), LossConfig(kind="sigmoid", sigmoid_bias=-2.0)])
def test_by_hand(setting: LossConfig):
    torch.manual_seed(0)
    image, text, more = unit(2, 1, 4), unit(2, 1, 4), unit(3, 4)
    lacks = torch.tensor([[True, False, True], [False, False, False]])
    found = contrastive_losses(
        image, text, torch.tensor(0.1), [term(2)], setting, None, {0: (more, lacks)}
    )[0]
    plain = contrastive_losses(image, text, torch.tensor(0.1), [term(2)], setting)[0]
    extra = image[0, 0] @ more[[0, 2]].T / 0.1
    if setting.kind == "sigmoid":
        added = functional.softplus(extra - 2.0).sum() / 2
    else:
        logits = image[0, 0] @ text[:, 0].T / 0.1
        added = (torch.cat([logits, extra]).logsumexp(0) - logits.logsumexp(0)) / 4
    torch.testing.assert_close(found, plain + added)


def test_a_run_learns_from_it_and_says_that_it_is_not_zero_shot(tiny: Any, tmp_path: Path):
    config, source = tiny(loss=ASKED), toy_source(16, 0)
    train(config, source, tmp_path / "run", findings=TOY_FINDINGS)
    train(tiny(), source, tmp_path / "plain")
    logs = [
        [
            json.loads(line)["loss"]
            for line in (tmp_path / run / "log.jsonl").read_text().splitlines()
        ]
        for run in ("run", "plain")
    ]
    # word pieces differ, and with them the weights: of each step alone nothing follows
    assert sum(logs[0]) > sum(logs[1])
    result, _ = zero_shot(
        tmp_path / "run", source, TOY_FINDINGS, EvaluateConfig(min_positive_patients=2)
    )
    assert set(result.learned_findings) == {one.id for one in TOY_FINDINGS}


def test_a_killed_run_goes_on(tiny: Any, tmp_path: Path):
    config, source = tiny(loss=ASKED, steps=4), toy_source(16, 0)
    train(config, source, tmp_path / "whole", findings=TOY_FINDINGS)

    def kill(step: Step, steps: int) -> None:
        if step.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, source, tmp_path / "parts", kill, findings=TOY_FINDINGS)
    fewer = TOY_FINDINGS[1:]
    with pytest.raises(ConfigError, match="prompts of liver_cyst are not those that it began"):
        train(config, source, tmp_path / "parts", findings=fewer)
    train(config, source, tmp_path / "parts", findings=TOY_FINDINGS)
    whole, parts = (load_checkpoint(tmp_path / run) for run in ("whole", "parts"))
    assert whole is not None
    assert parts is not None
    assert all(torch.equal(whole.model[name], parts.model[name]) for name in whole.model)


def test_a_dictionary_without_a_word_is_refused(tiny: Any, tmp_path: Path):
    with pytest.raises(ConfigError, match="no finding of the vocabulary lies in"):
        train(tiny(loss=ASKED), toy_source(8, 0), tmp_path / "run")
