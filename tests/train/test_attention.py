"""The attention with dropout on a CPU gives what torch's gives, and the recipe its choice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fvlm_train.config import ImageEncoderConfig
from fvlm_train.model import attention as module
from fvlm_train.model.attention import LEAST_SIZE, LEAST_TOKENS, attention
from fvlm_train.model.vit import Block


def outputs_and_gradients(compute: object, inputs: list[Tensor]) -> list[Tensor]:
    leaves = [one.clone().requires_grad_() for one in inputs]
    torch.manual_seed(3)
    mixed = compute(*leaves)  # type: ignore[operator]
    (mixed * torch.linspace(-1, 1, mixed.numel()).view_as(mixed)).sum().backward()
    return [mixed.detach(), *(one.grad for one in leaves if one.grad is not None)]


@pytest.mark.parametrize("shape", [(2, 2, LEAST_TOKENS, LEAST_SIZE), (1, 3, 301, 32)])
@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_head_by_head_drops_and_computes_what_torch_does(
    shape: tuple[int, ...], dropout: float
) -> None:
    torch.manual_seed(0)
    # as the fused projection of a block hands them over: heads lie between tokens and features
    batch, heads, tokens, size = shape
    inputs = list(torch.randn(batch, tokens, 3, heads, size).permute(2, 0, 3, 1, 4))
    ours = outputs_and_gradients(lambda q, k, v: attention(q, k, v, dropout), inputs)
    theirs = outputs_and_gradients(
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout), inputs
    )
    assert len(ours) == len(theirs) == 4
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_weights_that_vanish_have_no_gradient() -> None:
    """Logits so far apart that a softmax underflows: zeros, kept or dropped, and no NaN."""
    q = torch.full((1, 1, LEAST_TOKENS, LEAST_SIZE), 100.0)
    k = q * torch.linspace(-1, 1, LEAST_TOKENS)[:, None]
    v = torch.randn(1, 1, LEAST_TOKENS, LEAST_SIZE)
    for one in outputs_and_gradients(lambda *given: attention(*given, 0.1), [q, k, v]):
        assert bool(one.isfinite().all())


def test_attention_dropout_is_a_choice_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    plain = module.F.scaled_dot_product_attention

    def noted(*given: Tensor, dropout_p: float) -> Tensor:
        seen.append(dropout_p)
        return plain(*given, dropout_p=dropout_p)

    monkeypatch.setattr(module.F, "scaled_dot_product_attention", noted)
    for over in ({}, {"attention_dropout": 0.0}, {"attention_dropout": 0.3}):
        block = Block(ImageEncoderConfig(width=8, heads=2, dropout=0.2, **over))
        block.train()(torch.rand(1, 4, 8))
        block.eval()(torch.rand(1, 4, 8))
    assert seen == [0.2, 0.0, 0.0, 0.0, 0.3, 0.0]
