"""The command `fvlm-eval attend`: which tokens of a scan an anatomy's embedding is made of.

Shapes: A anatomy, N tokens; arrays are (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fvlm_train.evaluate.embeddings import anatomy_windows, window_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.shards import Sample
    from fvlm_train.config import EvaluateConfig
    from fvlm_train.runs import TrainedRun

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention of one anatomy over its window.

    `image_zyx` is in [0, 1], `organ_zyx` (bool) the anatomy's mask, `share_zyx` for each voxel the
    share of its token (the shares of all tokens sum to 1); `spacing_mm` is along z, y, x.
    `tokens` are those that the mask touches, `effective_tokens` the exponential of the shares'
    entropy, `within` the mean share of organ in the tokens, weighted by attention, and
    `organ_share` the same without weights.
    """

    sample_id: str
    anatomy: str
    image_zyx: Array
    organ_zyx: Array
    share_zyx: Array
    spacing_mm: tuple[float, float, float]
    patch_zyx: tuple[int, int, int]
    tokens: int
    effective_tokens: float
    largest: float
    within: float
    organ_share: float


def attention(run: TrainedRun, sample: Sample, config: EvaluateConfig) -> Iterator[Attention]:
    """Attention of each anatomy that a sample shows, in the order of the model's."""
    train, model = run.config, run.model
    numbers = range(len(model.anatomies))
    window_zyx = config.window_zyx or train.crop
    found: dict[int, Attention] = {}
    for window in anatomy_windows(sample, 0, numbers, train, window_zyx):
        image_bzyx, tokens_ban, organs_bzyx, _ = window_inputs(model, [window])
        with torch.inference_mode():
            weights_ban = model.token_weights(image_bzyx, tokens_ban, organs_bzyx)
        weights_an = weights_ban[0].cpu().numpy()
        for number in np.flatnonzero(window.tokens_an.any(axis=1)).tolist():
            anatomy = model.anatomies[number]
            value = sample.label_values[anatomy]
            organ_zyx = window.label_zyx == value
            found[number] = _attention(
                sample, anatomy, window.image_zyx, organ_zyx, weights_an[number], train.model.image
            )
    yield from (found[number] for number in sorted(found))


def _attention(
    sample: Sample, anatomy: str, image_zyx: Array, organ_zyx: Array, weight_n: Array, image: Any
) -> Attention:
    pz, py, px = image.patch_zyx
    grid = tuple(n // p for n, p in zip(image_zyx.shape, image.patch_zyx, strict=True))
    z, y, x = grid
    cells = organ_zyx.reshape(z, pz, y, py, x, px)
    cover_n = cells.mean(axis=(1, 3, 5)).reshape(-1)
    touched_n = cover_n > 0
    weight_zyx = weight_n.reshape(grid)
    share_zyx = weight_zyx.repeat(pz, axis=0).repeat(py, axis=1).repeat(px, axis=2)
    positive_n = weight_n[weight_n > 0]
    return Attention(
        sample_id=sample.sample_id,
        anatomy=anatomy,
        image_zyx=image_zyx,
        organ_zyx=organ_zyx,
        share_zyx=share_zyx,
        spacing_mm=sample.spacing_mm,
        patch_zyx=image.patch_zyx,
        tokens=int(touched_n.sum()),
        effective_tokens=float(np.exp(-(positive_n * np.log(positive_n)).sum())),
        largest=float(weight_n.max()),
        within=float((weight_n * cover_n).sum()),
        organ_share=float(cover_n[touched_n].mean()),
    )


def told(one: Attention) -> dict[str, Any]:
    """The numbers, without arrays."""
    return {
        "sample_id": one.sample_id,
        "anatomy": one.anatomy,
        "tokens": one.tokens,
        "effective_tokens": round(one.effective_tokens, 2),
        "largest": round(one.largest, 4),
        "within": round(one.within, 4),
        "organ_share": round(one.organ_share, 4),
    }
