"""Windows as other projects turn them: axes towards right, anterior, superior (RAS).

Ours run towards superior (z), posterior (y) and patient left (x). Weights that were learned on
volumes in RAS see left and right, front and back exchanged otherwise.
"""

from __future__ import annotations

from torch import Tensor


def to_ras(image_bzyx: Tensor) -> Tensor:
    """(B, z, y, x) -> (B, 1, x, y, z), x towards the right and y to the front."""
    return image_bzyx.flip(2, 3).permute(0, 3, 2, 1)[:, None]


def tokens_from_ras(features_bdxyz: Tensor) -> Tensor:
    """A feature map of `to_ras` (B, D, x, y, z) -> tokens (B, N, D) of the window, x fastest."""
    return features_bdxyz.flip(2, 3).permute(0, 4, 3, 2, 1).flatten(1, 3)
