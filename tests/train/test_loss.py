from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from fvlm_train.data.crops import Facts
from fvlm_train.training.loss import contrastive_losses, judged, loss_terms


def facts(study: str, state: str | None, *, intact: bool = True, signature: int = 0) -> Facts:
    return Facts(
        sample_id=f"sa_{study}",
        study_id=study,
        intact=(intact,),
        states=(state,),
        signatures=(signature,),
        findings=(frozenset({f"f_{signature}|present|"} if signature else ()),),
        labels=(frozenset({f"f_{signature}"} if signature else ()),),
        texts=(f"{state} {signature}",),
        encoder_texts=("text",),
    )


SICK = facts("a", "abnormal", signature=1)
HEALTHY = facts("b", "normal_stated")
SILENT = facts("c", "not_mentioned")


@pytest.mark.parametrize(
    ("batch", "silence", "members"),
    [
        ([SICK, HEALTHY, SILENT], "normal", [0, 1, 2]),
        ([SICK, HEALTHY, SILENT], "excluded", [0, 1]),
        ([HEALTHY, SILENT], "normal", None),  # nothing abnormal
        ([SICK], "normal", None),  # a single sample has nothing to be told from
        ([SICK, facts("d", "abnormal", signature=1)], "normal", None),  # all targets equal
        ([facts("a", "abnormal", intact=False), HEALTHY, SILENT], "normal", None),
        ([SICK, facts("b", None), HEALTHY], "normal", [0, 2]),
    ],
)
def test_who_takes_part(batch: list[Facts], silence: Any, members: list[int] | None) -> None:
    terms = loss_terms(batch, 1, "signature", silence)
    assert [term.members_m.tolist() for term in terms] == ([members] if members else [])


def test_loss_by_hand_without_false_negative_handling() -> None:
    batch = [SICK, HEALTHY, SILENT]
    torch.manual_seed(0)
    image = functional.normalize(torch.randn(3, 1, 4), dim=-1)
    text = functional.normalize(torch.randn(3, 1, 4), dim=-1)
    losses = contrastive_losses(
        image, text, torch.tensor(0.07), loss_terms(batch, 1, "none", "normal")
    )
    logits = image[:, 0] @ text[:, 0].T / 0.07
    own = torch.arange(3)
    expected = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(losses[0], expected)


def test_two_healthy_samples_may_be_confused_for_free() -> None:
    batch = [SICK, HEALTHY, SILENT]
    feature = torch.eye(2)[[0, 1, 1]][:, None]
    terms = loss_terms(batch, 1, "reference", "normal")
    soft = contrastive_losses(feature, feature, torch.tensor(0.01), terms)[0]
    assert float(soft) == pytest.approx(2 / 3 * math.log(2), abs=1e-4)


def test_anatomies_are_apart() -> None:
    def two(study: str, states: tuple[str, str]) -> Facts:
        return Facts(
            sample_id="sa",
            study_id=study,
            intact=(True, True),
            states=states,
            signatures=(1, 1),
            findings=(frozenset(),) * 2,
            labels=(frozenset(),) * 2,
            texts=("x", "y"),
            encoder_texts=("", ""),
        )

    batch = [
        two("a", ("abnormal", "normal_stated")),
        two("b", ("normal_stated", "normal_stated")),
    ]
    assert [term.anatomy for term in loss_terms(batch, 2, "signature", "normal")] == [0]


def test_a_peer_judges_pairs_of_abnormal_samples_only() -> None:
    batch = [SICK, facts("d", "abnormal", signature=2), HEALTHY]
    (term,) = loss_terms(batch, 1, "signature", "normal")
    logits = torch.tensor([[0.0, 0.0, -60.0], [0.0, 0.0, -60.0], [0.0, 0.0, 0.0]])
    corrected = judged(term, logits.requires_grad_(), keep=0.5)
    third = 1 / 5  # the peer's 1/2, halved, beside the sample itself: 1/4 of 5/4
    expected = [[1 - third, third, 0], [third, 1 - third, 0], [0, 0, 1]]
    torch.testing.assert_close(corrected.target_mm, torch.tensor(expected))
    assert not corrected.target_mm.requires_grad


def test_graded_targets_reach_the_loss() -> None:
    both = facts("d", "abnormal", signature=3)
    both = dataclasses.replace(both, findings=(frozenset({"f_1|present|", "f_2|present|"}),))
    (term,) = loss_terms([SICK, both, HEALTHY], 1, "graded", "normal")
    expected = [[2 / 3, 1 / 3, 0], [1 / 3, 2 / 3, 0], [0, 0, 1]]
    torch.testing.assert_close(term.target_mm, torch.tensor(expected))
