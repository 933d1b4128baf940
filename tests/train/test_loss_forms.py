"""Laws of what may stand beside the paper's loss: sigmoid, normal negatives, separation, order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from fvlm_train.config.loss import LossConfig
from fvlm_train.data.texts import permuted
from fvlm_train.testing import toy_source
from fvlm_train.training.inputs import inputs_of
from fvlm_train.training.loss import Term, contrastive_losses, separation_loss
from fvlm_train.training.steps import Step
from fvlm_train.training.train import train

SIGMOID = LossConfig(kind="sigmoid", sigmoid_bias=-2.0)
ONE = torch.tensor(0.1)


def term(target: Tensor, abnormal: list[bool] | None = None, anatomy: int = 0) -> Term:
    count = len(target)
    sick = torch.tensor(abnormal or [True] * count)
    return Term(
        anatomy,
        torch.arange(count),
        target,
        target,
        torch.zeros_like(target, dtype=torch.bool),
        sick,
    )


def unit(*shape: int) -> Tensor:
    return functional.normalize(torch.randn(shape), dim=-1)


def loss_of(image: Tensor, text: Tensor, one: Term, setting: LossConfig, **more: Tensor) -> Tensor:
    return contrastive_losses(image, text, ONE, [one], setting, **more)[one.anatomy]


def test_sigmoid_by_hand() -> None:
    torch.manual_seed(0)
    image, text = unit(3, 1, 4), unit(3, 1, 4)
    # samples 0 and 1 say the same: each row has halves
    target = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    total = torch.tensor(0.0)
    for i in range(3):
        for j in range(3):
            logit = image[i, 0] @ text[j, 0] / 0.1 - 2.0
            sign = 1 if i == j or {i, j} == {0, 1} else -1
            total -= torch.sigmoid(sign * logit).log()
    torch.testing.assert_close(loss_of(image, text, term(target), SIGMOID), total / 3)


def test_sigmoid_is_least_where_labels_are_met() -> None:
    """Positives at one, negatives at minus one, a wide temperature: nothing is left to lose."""
    image = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])[:, None]
    sharp = LossConfig(kind="sigmoid", sigmoid_bias=0.0)
    found = contrastive_losses(image, image, torch.tensor(0.02), [term(torch.eye(2))], sharp)[0]
    assert float(found) < 1e-6
    swapped = contrastive_losses(
        image, image.flip(0), torch.tensor(0.02), [term(torch.eye(2))], sharp
    )
    assert float(swapped[0]) > 50


@pytest.mark.parametrize("setting", [SIGMOID, LossConfig()])
def test_gradients_pull_positives_and_push_negatives(setting: LossConfig) -> None:
    torch.manual_seed(1)
    image, text = unit(2, 1, 4), unit(2, 1, 4).requires_grad_()
    loss_of(image, text, term(torch.eye(2)), setting).backward()
    assert text.grad is not None
    # of its own image only: against the gradient it comes nearer to it than to the other
    step = -text.grad[0, 0]
    assert float(step @ (image[0, 0] - image[1, 0])) > 0


@pytest.mark.parametrize("setting", [SIGMOID, LossConfig()])
def test_the_normal_sentence_pushes_abnormal_images_alone(setting: LossConfig) -> None:
    torch.manual_seed(2)
    text, normal = unit(3, 1, 4), unit(1, 4)
    one = term(torch.eye(3), [True, False, True])
    start = unit(3, 1, 4)
    gradients = []
    for more in ({}, {"normal_ae": normal}):
        image = start.clone().requires_grad_()
        loss = loss_of(image, text, one, setting, **more)
        loss.backward()
        assert image.grad is not None
        gradients.append((float(loss.detach()), image.grad[:, 0]))
    (without, plain), (joined, pushed) = gradients
    assert joined > without
    change = pushed - plain
    assert not bool(change[1].any())
    # along the normal sentence an abnormal image now loses more
    assert float(change[0] @ normal[0]) > 0
    assert float(change[2] @ normal[0]) > 0


def test_one_more_negative_is_one_more_text_by_hand() -> None:
    torch.manual_seed(3)
    image, text, normal = unit(2, 1, 4), unit(2, 1, 4), unit(1, 4)
    found = loss_of(image, text, term(torch.eye(2), [True, False]), LossConfig(), normal_ae=normal)
    logits = image[:, 0] @ text[:, 0].T / 0.1
    more = torch.cat([logits[0], image[0] @ normal[0] / 0.1]).softmax(0)[0].log()
    to_text = -(more + logits[1].softmax(0)[1].log()) / 2
    to_image = -sum(logits.T[n].softmax(0)[n].log() for n in range(2)) / 2
    torch.testing.assert_close(found, (to_text + to_image) / 2)


def test_separation_is_zero_between_orthogonal_and_opposite_texts() -> None:
    terms = [term(torch.eye(2), anatomy=0), term(torch.eye(2), anatomy=1)]
    text = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [-1.0, 0.0]]])
    # within an anatomy texts may agree as they like
    assert float(separation_loss(text, terms)) == 0
    assert float(separation_loss(text, terms[:1])) == 0
    same = torch.ones(2, 2, 1)
    assert float(separation_loss(same, terms)) == 1


def test_separation_drives_texts_of_anatomies_apart() -> None:
    torch.manual_seed(4)
    raw = torch.rand(2, 2, 4).requires_grad_()
    terms = [term(torch.eye(2), anatomy=0), term(torch.eye(2), anatomy=1)]
    before = separation_loss(functional.normalize(raw, dim=-1), terms)
    before.backward()
    assert raw.grad is not None
    after = separation_loss(functional.normalize(raw - 0.1 * raw.grad, dim=-1), terms)
    assert after.item() < before.item()


@given(
    st.lists(st.sampled_from(["A cyst.", "No stone!", "Is it 3.5 mm?", "Free fluid"]), min_size=1)
)
def test_an_order_of_sentences_keeps_each(sentences: list[str]) -> None:
    text = " ".join(one if one[-1] in ".!?" else f"{one}." for one in sentences)
    assert permuted(text, range) == text
    turned = permuted(text, lambda count: range(count - 1, -1, -1))
    assert permuted(turned, lambda count: range(count - 1, -1, -1)) == text


def test_settings_reach_the_training(tiny: Any, tmp_path: Path, monkeypatch: Any) -> None:
    read: list[tuple[str, ...]] = []

    def noted(*given: Any, **more: Any) -> Any:
        inputs = inputs_of(*given, **more)
        read.append((str(inputs.normal_places_a is not None), str(len(inputs.ids_ts))))
        return inputs

    monkeypatch.setattr("fvlm_train.training.steps.inputs_of", noted)
    steps: list[Step] = []
    config = tiny(
        steps=2,
        loss={"kind": "sigmoid", "normal_negative": True, "separation": 0.5},
        model={"text": {"sentence_permutation": 1.0}},
    )
    train(config, toy_source(20, 0), tmp_path / "run", lambda step, _: steps.append(step))
    assert [one for one, _ in read] == ["True", "True"]
    assert all(one.separation_loss is not None and one.separation_loss > 0 for one in steps)
    plain: list[Step] = []
    train(tiny(steps=1), toy_source(20, 0), tmp_path / "plain", lambda step, _: plain.append(step))
    assert plain[0].separation_loss is None
    assert plain[0].loss != steps[0].loss
