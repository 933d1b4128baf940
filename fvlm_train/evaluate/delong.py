"""DeLong's test of two AUCs on the same samples.

Sources: DeLong, DeLong and Clarke-Pearson (Biometrics 1988); by midranks as Sun and Xu (IEEE
Signal Processing Letters 2014).

Shapes: N samples, M positive, K negative.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def delong_p(one_n: Array, other_n: Array, positive_n: Array) -> float | None:
    """Two-sided p of equal AUCs of two scores of the same samples; both kinds of labels are there.

    None where there is one positive or negative sample alone, or the variance of the difference is
    0 but the difference is not. Samples count as independent, which those of one patient are not.
    """
    parts = [_components(score_n, positive_n) for score_n in (one_n, other_n)]
    difference = parts[0][0] - parts[1][0]
    variance = 0.0
    for gap in (parts[0][1] - parts[1][1], parts[0][2] - parts[1][2]):
        if len(gap) < 2:
            return None
        variance += float(gap.var(ddof=1)) / len(gap)
    if variance <= 0:
        return 1.0 if abs(difference) < 1e-12 else None
    return math.erfc(abs(difference) / math.sqrt(2 * variance))


def _components(score_n: Array, positive_n: Array) -> tuple[float, Array, Array]:
    """AUC, and its structural components of each positive (M,) and negative (K,) sample."""
    from scipy.stats import rankdata

    positive_m, negative_k = score_n[positive_n], score_n[~positive_n]
    joint = rankdata(np.concatenate([positive_m, negative_k]))
    m, k = len(positive_m), len(negative_k)
    above_m = (joint[:m] - rankdata(positive_m)) / k
    above_k = 1 - (joint[m:] - rankdata(negative_k)) / m
    return float(above_m.mean()), above_m, above_k
