"""Decisions at a threshold, average precision and calibration of one finding's scores.

Sources: the threshold of the public fVLM code (the point of a grid of 100 steps that is closest to
the corner of the ROC curve, on the labels that are scored: its figures are too good); Youden's
index (Cancer 1950) for the one chosen on other data; F1 averaged as scikit-learn does; expected
calibration error (Naeini et al., AAAI 2015) over 15 bins of equal width.

Shapes: N samples, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

GRID = np.arange(0, 1, 0.01)
BINS = 15


@dataclass(frozen=True, slots=True)
class Decision:
    """Rates at one threshold: a score above it says that the finding is there.

    `precision` is None where no score is above it.
    """

    threshold: float
    sensitivity: float
    specificity: float
    accuracy: float
    precision: float | None
    f1_weighted: float
    f1_macro: float


def decided(score_n: Array, positive_n: Array, threshold: float) -> Decision:
    """The rates at `threshold`; `positive_n` holds both kinds."""
    above_n = score_n > threshold
    true_positive = int((above_n & positive_n).sum())
    false_positive = int((above_n & ~positive_n).sum())
    false_negative = int((~above_n & positive_n).sum())
    true_negative = len(score_n) - true_positive - false_positive - false_negative
    positives, negatives = true_positive + false_negative, true_negative + false_positive
    f1_positive = 2 * true_positive / (2 * true_positive + false_positive + false_negative)
    f1_negative = 2 * true_negative / (2 * true_negative + false_positive + false_negative)
    above = true_positive + false_positive
    return Decision(
        threshold=threshold,
        sensitivity=true_positive / positives,
        specificity=true_negative / negatives,
        accuracy=(true_positive + true_negative) / len(score_n),
        precision=true_positive / above if above else None,
        f1_weighted=(positives * f1_positive + negatives * f1_negative) / len(score_n),
        f1_macro=(f1_positive + f1_negative) / 2,
    )


def crg(found: float, invented: float, positive: float, total: float) -> float | None:
    """The CRG score of labels told (Hamamci et al., arXiv 2505.17167; VLM3D's), over all findings.

    1 where all are right, a third where everything or nothing is told, whatever the labels' shares;
    None where no label is positive, or all are. With A positive ones of T labels, what is found
    counts w = (T - A) / 2A, what is missed -w, what is invented -1; the sum s is brought to
    m / (2 m - s), where m = A w is its greatest value.
    """
    if positive in (0, total):
        return None
    weight = (total - positive) / (2 * positive)
    score = found * weight - (positive - found) * weight - invented
    greatest = positive * weight
    return greatest / (2 * greatest - score)


def closest_corner(score_n: Array, positive_n: Array) -> float:
    """The public code's threshold: of equal ones the last."""
    sensitivity_t, specificity_t = _rates(score_n, positive_n, GRID)
    distance_t = (1 - sensitivity_t) ** 2 + (1 - specificity_t) ** 2
    return float(GRID[len(GRID) - 1 - int(np.argmin(distance_t[::-1]))])


def youden(score_n: Array, positive_n: Array) -> float:
    """The threshold with the largest sensitivity + specificity, midway between two scores."""
    values = np.unique(score_n)
    # below all scores, too: everything is then positive
    cuts = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2])
    sensitivity_t, specificity_t = _rates(score_n, positive_n, cuts)
    return float(cuts[int(np.argmax(sensitivity_t + specificity_t))])


def average_precision(score_n: Array, positive_n: Array) -> float:
    """Area under the precision-recall steps; samples of equal scores come in together."""
    order = np.argsort(-score_n, kind="stable")
    ordered = score_n[order]
    lasts = np.flatnonzero(np.concatenate([ordered[1:] != ordered[:-1], [True]]))
    found = np.cumsum(positive_n[order])[lasts]
    precision = found / (lasts + 1)
    recall = found / found[-1]
    return float((np.diff(recall, prepend=0) * precision).sum())


def calibration_error(score_n: Array, positive_n: Array) -> float | None:
    """Mean distance of score and frequency over bins; None where scores are no probabilities."""
    if score_n.min() < 0 or score_n.max() > 1:
        return None
    bin_n = np.minimum((score_n * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bin_n, weights=score_n - positive_n, minlength=BINS)
    return float(np.abs(gaps).sum() / len(score_n))


def _rates(score_n: Array, positive_n: Array, thresholds_t: Array) -> tuple[Array, Array]:
    """Sensitivity and specificity (T,) of scores above each threshold."""
    positive, negative = np.sort(score_n[positive_n]), np.sort(score_n[~positive_n])
    missed_t = np.searchsorted(positive, thresholds_t, side="right")
    spared_t = np.searchsorted(negative, thresholds_t, side="right")
    return 1 - missed_t / len(positive), spared_t / len(negative)
