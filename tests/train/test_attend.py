from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.attend import attention, told
from fvlm_train.evaluate.attention_picture import OUTLINE, write_picture
from fvlm_train.evaluate.embeddings import anatomy_windows, window_inputs
from fvlm_train.runs import trained_run
from fvlm_train.testing import toy_sample


def test_shares_are_those_that_make_the_embedding(toy_run: Path) -> None:
    """Pooling the values by the shares, head by head, is what the attention returns."""
    run = trained_run(toy_run)
    sample = toy_sample(0, 5)
    (window,) = anatomy_windows(sample, 0, [0, 1, 2], run.config, run.config.crop)
    inputs = window_inputs(run.model, [window])
    with torch.no_grad():
        shares = run.model.token_weights(*inputs[:3])[0]
        levels = run.model.image_encoder(inputs[0])
        _, weights = run.model.pooling.attention(
            run.model.pooling.queries[None], levels.flatten(1, 2), levels.flatten(1, 2),
            attn_mask=~inputs[1].repeat(1, 1, levels.shape[1]).repeat_interleave(2, 0)
            if run.model.pooling.heads == 2
            else ~inputs[1].repeat(1, 1, levels.shape[1]).repeat_interleave(4, 0),
        )  # fmt: skip
    assert shares.sum(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert not shares[~inputs[1][0]].any()
    summed = weights[0].reshape(3, levels.shape[1], -1).sum(dim=1)
    assert torch.allclose(shares, summed, atol=1e-6)


def test_each_shown_anatomy_has_a_picture_with_its_outline(toy_run: Path, tmp_path: Path) -> None:
    from PIL import Image

    run = trained_run(toy_run)
    sample = toy_sample(0, 5)
    found = list(attention(run, sample, EvaluateConfig()))
    assert [one.anatomy for one in found] == ["liver", "kidney", "lung"]
    for one in found:
        assert float(one.share_zyx.sum()) == pytest.approx(8 * 16 * 16, rel=1e-4)
        assert 1 <= told(one)["effective_tokens"] <= one.tokens + 0.01
        write_picture(one, tmp_path / "one.png")
        picture = np.asarray(Image.open(tmp_path / "one.png"))
        assert (picture == OUTLINE).all(axis=2).sum() > 100
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
