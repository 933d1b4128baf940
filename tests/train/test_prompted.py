from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from fvlm_data.errors import ConfigError
from fvlm_train.cli import _trained_lines
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.zero_shot import printed, zero_shot
from fvlm_train.prompts import PromptTexts
from fvlm_train.runs import load_checkpoint
from fvlm_train.testing import TOY_FINDINGS, ToyFinding, toy_source
from fvlm_train.training.prompted import prompt_loss, prompted_findings
from fvlm_train.training.steps import Step
from fvlm_train.training.train import train

OFTEN = {"weight": 1.0, "least_positives": 2}


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(shape), dim=-1)


def test_loss_by_hand() -> None:
    """Evaluation's probability, samples with and without a finding weighing the same in total."""
    torch.manual_seed(0)
    image_bae, positive_fe, negative_fe = unit(3, 2, 4), unit(2, 4), unit(2, 4)
    present = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    known = torch.tensor([[True, True], [True, False], [False, True]])
    found = prompt_loss(
        image_bae, positive_fe, negative_fe, torch.tensor(0.2), present, known, (1, 0), (0.25, 0.5)
    )
    total = torch.tensor(0.0)
    for sample, finding, share in ((0, 0, 0.25), (0, 1, 0.5), (1, 0, 0.25), (2, 1, 0.5)):
        image = image_bae[sample, (1, 0)[finding]]
        logits = torch.stack([image @ negative_fe[finding], image @ positive_fe[finding]]) / 0.2
        label = int(present[sample, finding])
        chance = logits.softmax(0)[label]
        total += -chance.log() * 0.5 / (share if label else 1 - share)
    torch.testing.assert_close(found, total / 4)


def test_what_is_not_known_changes_nothing() -> None:
    torch.manual_seed(0)
    image_bae = unit(2, 1, 4).requires_grad_()
    known = torch.tensor([[True], [False]])
    prompt_loss(
        image_bae, unit(1, 4), unit(1, 4), torch.tensor(0.2), torch.ones(2, 1), known, (0,), (0.5,)
    ).backward()
    assert image_bae.grad is not None
    assert bool(image_bae.grad[0].any())
    assert not bool(image_bae.grad[1].any())
    nothing = torch.zeros_like(known)
    none_known = prompt_loss(
        image_bae,
        unit(1, 4),
        unit(1, 4),
        torch.tensor(0.2),
        torch.ones(2, 1),
        nothing,
        (0,),
        (0.5,),
    )
    assert float(none_known.detach()) == 0


def test_findings_are_those_that_the_split_has_often_enough(tiny: Any) -> None:
    rows = toy_source(20, 0).rows
    told = rows.to_pylist()
    least = 4
    chosen = prompted_findings(
        tiny(loss={"prompts": {"weight": 1.0, "least_positives": least}}), rows, TOY_FINDINGS
    )
    assert chosen is not None
    counts = {
        one.id: sum(one.id in labels for row in told for labels in row["labels"])
        for one in TOY_FINDINGS
    }
    often = [name for name, count in counts.items() if count >= least]
    assert 0 < len(often) < len(TOY_FINDINGS)
    assert list(chosen.ids) == often
    assert chosen.share_f == tuple(counts[name] / 20 for name in often)
    assert prompted_findings(tiny(), rows, TOY_FINDINGS) is None


@pytest.mark.parametrize(("least", "learned"), [(30, 0), (4, 4)])
def test_how_many_findings_are_learned_is_said(
    tiny: Any, tmp_path: Path, least: int, learned: int
) -> None:
    """None is frequent enough: the contrast alone is learned, and that is told."""
    config = tiny(loss={"prompts": {"weight": 1.0, "least_positives": least}}, steps=1)
    summary = train(config, toy_source(20, 0), tmp_path / "run", findings=TOY_FINDINGS)
    assert summary.prompted_findings == learned
    (said,) = [
        line for line in _trained_lines(summary, tmp_path, "s", tmp_path) if "prompts" in line
    ]
    assert ("no label was learned" in said) == (learned == 0)


def test_prompts_are_learned_and_said(tiny: Any, tmp_path: Path) -> None:
    source = toy_source(20, 0)
    image = {"dropout": 0.0, "stem": "histogram"}
    config = tiny(
        loss={"prompts": {"weight": 5.0, "least_positives": 2}},
        model={
            "image": image,
            "organ": {"features": True, "histogram_windows": 8},
            "text": {"dropout": 0.0, "pooling": "mean"},
            "pooling_dropout": 0.0,
            "temperature_init": 0.3,
        },
        optimiser={"learning_rate": 1e-2, "warmup_steps": 1},
        steps=12,
    )
    train(config, source, tmp_path / "run", findings=TOY_FINDINGS)
    lines = [json.loads(one) for one in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    told = [line["prompt_loss"] for line in lines]
    assert sum(told[-4:]) < 0.9 * sum(told[:4])
    assert lines[0]["loss"] == pytest.approx(sum(lines[0]["losses"].values()))
    result, _ = zero_shot(
        tmp_path / "run", source, TOY_FINDINGS, EvaluateConfig(min_positive_patients=2)
    )
    assert set(result.learned_findings) <= {one.id for one in TOY_FINDINGS}
    (said,) = [one for one in printed(result, 0.95) if "not zero-shot" in one]
    assert all(one in said for one in result.learned_findings)


def test_a_killed_run_goes_on_and_refuses_other_prompts(tiny: Any, tmp_path: Path) -> None:
    config, source = tiny(loss={"prompts": OFTEN}), toy_source(20, 0)
    train(config, source, tmp_path / "whole", findings=TOY_FINDINGS)

    def kill(step: Step, steps: int) -> None:
        if step.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, source, tmp_path / "parts", kill, findings=TOY_FINDINGS)
    renamed = (ToyFinding("liver_cyst", "liver", -60, "cyst of the liver"), *TOY_FINDINGS[1:])
    with pytest.raises(ConfigError, match="prompts of liver_cyst are not those that it began"):
        train(config, source, tmp_path / "parts", findings=renamed)
    train(config, source, tmp_path / "parts", findings=TOY_FINDINGS)
    whole, parts = (load_checkpoint(tmp_path / run) for run in ("whole", "parts"))
    assert whole is not None
    assert parts is not None
    assert all(torch.equal(whole.model[name], parts.model[name]) for name in whole.model)
    assert whole.prompts == parts.prompts
    assert whole.prompts is not None
    assert whole.prompts["liver_cyst"] == ["Hepatic cyst.", "Not hepatic cyst."]


def test_sentences_of_a_template_join_the_vocabularys(tiny: Any) -> None:
    template = {"positive": "{finding} is seen.", "negative": "no {finding} is seen."}
    prompts = {**OFTEN, "templates": [template]}
    findings = TOY_FINDINGS[2:3]
    for negative, denied in (
        ("prompt", ("Not renal stone.", "no renal stone is seen.")),
        ("normal", ("kidney shows no significant abnormalities.",)),
    ):
        config = tiny(loss={"prompts": {**prompts, "negative": negative}})
        chosen = prompted_findings(config, toy_source(20, 0).rows, findings)
        assert chosen is not None
        assert chosen.texts == PromptTexts((("Renal stone.", "renal stone is seen."),), (denied,))
