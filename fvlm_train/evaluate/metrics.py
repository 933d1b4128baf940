"""Area under the ROC curve with intervals by resampling patients.

Shapes: N samples, P patients, R resamples.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_train.evaluate.decisions import (
    Decision,
    average_precision,
    calibration_error,
    closest_corner,
    crg,
    decided,
    youden,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_train.config import EvaluateConfig
    from fvlm_train.evaluate.scoring import Score

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class FindingScore:
    """One finding: AUC with its interval (None where no resample has both kinds), and its rates.

    `by_validation` are those at a threshold that other data chose, None without such; `by_test`
    those at the public code's, which these labels chose. `ece` is None where scores are no
    probabilities.
    """

    finding: str
    anatomy: str
    auc: float
    low: float | None
    high: float | None
    positives: int
    negatives: int
    positive_patients: int
    in_macro: bool
    average_precision: float
    ece: float | None
    by_validation: Decision | None
    by_test: Decision


@dataclass(frozen=True, slots=True)
class Unscored:
    """A finding without an AUC, and why: its labels are of one kind, or of none."""

    finding: str
    anatomy: str
    why: str
    positives: int
    negatives: int
    unknown: int


@dataclass(frozen=True, slots=True)
class MacroScore:
    """Mean AUC over the findings with enough positive patients; None if there are none."""

    auc: float | None
    low: float | None
    high: float | None
    findings: int
    min_positive_patients: int
    patients: int


def score_findings(
    scores: Sequence[Score],
    labels: Sequence[bool | None],
    config: EvaluateConfig,
    thresholds: Mapping[str, float] | None = None,
) -> tuple[list[FindingScore], MacroScore]:
    """AUC of each finding, highest first, and their mean; `labels` aligns with `scores`.

    Unknown labels (None) are left out; findings without a positive or a negative sample have no
    AUC and are not listed. All findings share the resampled patients, so that the interval of
    the mean is that of the whole table. Ties count half (Mann-Whitney). `thresholds` by finding
    come from other data (`youden_thresholds`).
    """
    patients = sorted({score.patient_id for score in scores})
    number = {patient: place for place, patient in enumerate(patients)}
    rng = np.random.default_rng(config.seed)
    share = np.full(len(patients), 1 / max(len(patients), 1))
    # a bootstrap by patient: samples of one patient are not independent
    weights_rp = (
        rng.multinomial(len(patients), share, size=config.bootstrap_samples)
        if patients
        else np.zeros((config.bootstrap_samples, 0))
    )
    by_finding: dict[tuple[str, str], list[tuple[float, bool, int]]] = {}
    for score, label in zip(scores, labels, strict=True):
        if label is not None:
            entry = (score.score, label, number[score.patient_id])
            by_finding.setdefault((score.finding, score.anatomy), []).append(entry)
    table, resampled = [], []
    for (finding, anatomy), entries in by_finding.items():
        score_n, positive_n, patient_n = (np.array(column) for column in zip(*entries, strict=True))
        if positive_n.all() or not positive_n.any():
            continue
        auc_r = weighted_auc(score_n, positive_n, weights_rp[:, patient_n])
        row = FindingScore(
            finding=finding,
            anatomy=anatomy,
            auc=float(weighted_auc(score_n, positive_n, np.ones((1, len(score_n))))[0]),
            low=_quantile(auc_r, (1 - config.confidence) / 2),
            high=_quantile(auc_r, (1 + config.confidence) / 2),
            positives=int(positive_n.sum()),
            negatives=int((~positive_n).sum()),
            positive_patients=len(set(patient_n[positive_n].tolist())),
            in_macro=len(set(patient_n[positive_n].tolist())) >= config.min_positive_patients,
            average_precision=average_precision(score_n, positive_n),
            ece=calibration_error(score_n, positive_n),
            by_validation=(
                decided(score_n, positive_n, thresholds[finding])
                if thresholds and finding in thresholds
                else None
            ),
            by_test=decided(score_n, positive_n, closest_corner(score_n, positive_n)),
        )
        table.append(row)
        if row.in_macro:
            resampled.append(auc_r)
    macro = _macro(table, resampled, len(patients), config)
    return sorted(table, key=lambda row: (-row.auc, row.finding)), macro


def crg_by_thresholds(table: Sequence[FindingScore]) -> dict[str, float | None]:
    """CRG over all findings of a table, by who chose the thresholds: `test`, and `validation`.

    The second is None where a finding has no threshold of validation.
    """
    positive = sum(row.positives for row in table)
    total = positive + sum(row.negatives for row in table)
    found: dict[str, float | None] = {}
    for name in ("test", "validation"):
        rates = [row.by_test if name == "test" else row.by_validation for row in table]
        told = [(row, rate) for row, rate in zip(table, rates, strict=True) if rate is not None]
        if len(told) < len(table):
            found[name] = None
            continue
        right = sum(rate.sensitivity * row.positives for row, rate in told)
        invented = sum((1 - rate.specificity) * row.negatives for row, rate in told)
        found[name] = crg(right, invented, positive, total)
    return found


def youden_thresholds(scores: Sequence[Score], labels: Sequence[bool | None]) -> dict[str, float]:
    """The threshold of each finding of which these data have both kinds."""
    thresholds = {}
    for (finding, _), (score_n, positive_n) in _by_finding(scores, labels).items():
        if positive_n.any() and not positive_n.all():
            thresholds[finding] = youden(score_n, positive_n)
    return thresholds


def unscored(scores: Sequence[Score], labels: Sequence[bool | None]) -> list[Unscored]:
    """The findings that `score_findings` leaves out, by name."""
    known = _by_finding(scores, labels)
    total = Counter((score.finding, score.anatomy) for score in scores)
    left_out = []
    for finding, anatomy in sorted(total):
        _, positive_n = known.get((finding, anatomy), (np.zeros(0), np.zeros(0, bool)))
        positives, labelled = int(positive_n.sum()), len(positive_n)
        if 0 < positives < labelled:
            continue
        why = "no sample has a label"
        if labelled:
            why = "no sample is positive" if positives == 0 else "no sample is negative"
        unknown = total[finding, anatomy] - labelled
        left_out.append(Unscored(finding, anatomy, why, positives, labelled - positives, unknown))
    return left_out


def _by_finding(
    scores: Sequence[Score], labels: Sequence[bool | None]
) -> dict[tuple[str, str], tuple[Array, Array]]:
    """Scores (N,) and labels (N,; bool) of each finding and anatomy, where there is a label."""
    entries: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for score, label in zip(scores, labels, strict=True):
        if label is not None:
            entries.setdefault((score.finding, score.anatomy), []).append((score.score, label))
    return {
        key: (np.array([s for s, _ in pairs]), np.array([p for _, p in pairs], bool))
        for key, pairs in entries.items()
    }


def weighted_auc(score_n: Array, positive_n: Array, weights_rn: Array) -> Array:
    """AUC (R,) under each row of sample weights; NaN where one kind has no weight."""
    order = np.argsort(score_n, kind="stable")
    ordered = score_n[order]
    # one group for each distinct score: ties count half, whatever their order
    firsts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    weights_rn = weights_rn[:, order].astype(np.float64)
    positive_rg = np.add.reduceat(weights_rn * positive_n[order], firsts, axis=1)
    negative_rg = np.add.reduceat(weights_rn * ~positive_n[order], firsts, axis=1)
    below_rg = np.cumsum(negative_rg, axis=1) - negative_rg / 2
    pairs_r = positive_rg.sum(axis=1) * negative_rg.sum(axis=1)
    won_r: Array = (positive_rg * below_rg).sum(axis=1)
    return np.divide(won_r, pairs_r, out=np.full_like(won_r, np.nan), where=pairs_r > 0)


def _macro(
    table: Sequence[FindingScore],
    resampled: Sequence[Array],
    patients: int,
    config: EvaluateConfig,
) -> MacroScore:
    aucs = [row.auc for row in table if row.in_macro]
    # a resample that lost all positives of one finding averages the others
    auc_fr = np.array(resampled) if resampled else np.full((1, 1), np.nan)
    known_r = (~np.isnan(auc_fr)).sum(axis=0)
    mean_r = np.nansum(auc_fr, axis=0)[known_r > 0] / known_r[known_r > 0]
    return MacroScore(
        auc=float(np.mean(aucs)) if aucs else None,
        low=_quantile(mean_r, (1 - config.confidence) / 2),
        high=_quantile(mean_r, (1 + config.confidence) / 2),
        findings=len(aucs),
        min_positive_patients=config.min_positive_patients,
        patients=patients,
    )


def _quantile(values: Array, share: float) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, share)) if known.size else None
