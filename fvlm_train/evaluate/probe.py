"""The command `fvlm-eval probe`: how much of each finding a linear map reads off the embeddings.

Linear: logistic regression on the embedding of the finding's anatomy, fitted on the training split,
its strength of regularisation chosen by AUC on validation. Few-shot: the same on k positive and k
negative patients, drawn several times, at a fixed strength: who has 2 k labels can spare none.

Shapes: N samples, E features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import ConfigError
from fvlm_train.evaluate.metrics import (
    FindingScore,
    MacroScore,
    score_findings,
    weighted_auc,
    youden_thresholds,
)
from fvlm_train.evaluate.tables import auc_lines, macro_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fvlm_train.config import EvaluateConfig
    from fvlm_train.evaluate.labelled import Labelled
    from fvlm_train.evaluate.scoring import Score

Array = np.ndarray[Any, Any]

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Values of scikit-learn's C that are tried."""
FEW_SHOT_STRENGTH = 1.0
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Shots:
    """Few-shot AUC of a finding: mean and deviation over the draws; None: too few patients."""

    finding: str
    k: int
    auc: float | None
    deviation: float | None
    draws: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a finding's probe was fitted; `chosen_on` is validation, or train (cross-validated)."""

    finding: str
    strength: float
    chosen_on: str
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the command prints; `left_out` are findings without a probe, and why."""

    table: list[FindingScore]
    macro: MacroScore
    fitted: list[Fitted]
    shots: list[Shots]
    left_out: dict[str, str]
    labels: str

    def as_json(self) -> dict[str, Any]:
        """The whole result as plain values."""
        return asdict(self)


def probe(
    parts: Mapping[str, Mapping[str, Labelled]],
    config: EvaluateConfig,
    labels: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[ProbeResult, list[Score], list[bool]]:
    """Fit and judge a probe of each finding; `parts` are `train`, `test` and, may be, `validation`.

    Each holds the labelled samples by finding. Returns also the scores of the test samples with
    their labels.

    Raises:
        ConfigError: no finding has both kinds of labels in train and in test.
    """
    scores: list[Score] = []
    known: list[bool] = []
    told: list[Score] = []
    told_labels: list[bool | None] = []
    fitted, shots, left_out = [], [], {}
    findings = list(parts["test"])
    for number, finding in enumerate(findings, start=1):
        train, test = parts["train"][finding], parts["test"][finding]
        validation = parts.get("validation", {}).get(finding)
        why = _why_not(train, test)
        if why:
            left_out[finding] = why
            continue
        strength, chosen_on = chosen_strength(train, validation, config.seed)
        model = _model(strength).fit(train.features_ne, train.positive_n)
        scores += _scored(test, model)
        known += test.positive_n.tolist()
        if validation is not None and validation.kinds == 2:
            told += _scored(validation, model)
            told_labels += validation.positive_n.tolist()
        positives = int(train.positive_n.sum())
        negatives = len(train.positive_n) - positives
        fitted.append(Fitted(finding, strength, chosen_on, positives, negatives))
        shots += [_shots(finding, k, train, test, config) for k in config.shots]
        progress(number, len(findings))
    if not scores:
        raise ConfigError(
            "no finding has positive and negative samples both in train and in the split that is "
            f"judged ({next(iter(left_out.values()), 'no finding is trained on')})"
        )
    table, macro = score_findings(scores, known, config, youden_thresholds(told, told_labels))
    return ProbeResult(table, macro, fitted, shots, left_out, labels), scores, known


def fitted_probability(train: Labelled, features_ne: Array, strength: float) -> Array:
    """Probability (N,) of the finding by a probe that is fitted on `train`, classes unweighted."""
    model = _model(strength, weighted=False).fit(train.features_ne, train.positive_n)
    probability_n: Array = model.predict_proba(features_ne)[:, 1]
    return probability_n


def _model(strength: float, *, weighted: bool = True) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    weight = "balanced" if weighted else None
    regression = LogisticRegression(C=strength, class_weight=weight, max_iter=5000)
    return make_pipeline(StandardScaler(), regression)


def _why_not(train: Labelled, test: Labelled) -> str | None:
    for name, part in (("train", train), ("the judged split", test)):
        if part.kinds < 2:
            positives = int(part.positive_n.sum())
            return f"{positives} positive of {len(part.positive_n)} samples in {name}"
    return None


def _scored(part: Labelled, model: Any) -> list[Score]:
    probability_n = model.predict_proba(part.features_ne)[:, 1]
    return [replace(row, score=float(p)) for row, p in zip(part.rows, probability_n, strict=True)]


def _auc(score_n: Array, positive_n: Array) -> float:
    return float(weighted_auc(score_n, positive_n, np.ones((1, len(score_n))))[0])


def chosen_strength(train: Labelled, validation: Labelled | None, seed: int) -> tuple[float, str]:
    """The C of the best AUC on validation, else cross-validated by patient; of equals the least."""
    if validation is not None and validation.kinds == 2:
        fits = [_model(c).fit(train.features_ne, train.positive_n) for c in STRENGTHS]
        aucs = [
            _auc(one.predict_proba(validation.features_ne)[:, 1], validation.positive_n)
            for one in fits
        ]
        return STRENGTHS[int(np.argmax(aucs))], "validation"
    folds = min(FOLDS, train.patients(positive=True), train.patients(positive=False))
    if folds < 2:
        return FEW_SHOT_STRENGTH, "nothing"
    aucs = [_cross_validated(train, c, folds, seed) for c in STRENGTHS]
    return STRENGTHS[int(np.argmax(aucs))], "train"


def _cross_validated(train: Labelled, strength: float, folds: int, seed: int) -> float:
    score_n = np.full(len(train.positive_n), np.nan)
    for inside, outside in patient_folds(train, folds, seed):
        if len(np.unique(train.positive_n[inside])) == 2:
            model = _model(strength).fit(train.features_ne[inside], train.positive_n[inside])
            score_n[outside] = model.predict_proba(train.features_ne[outside])[:, 1]
    judged = ~np.isnan(score_n)
    found = _auc(score_n[judged], train.positive_n[judged])
    return -1.0 if np.isnan(found) else found


def patient_folds(part: Labelled, folds: int, seed: int) -> list[tuple[Array, Array]]:
    """(fitted on, judged) places of each fold; a patient is in one fold, positives are spread."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(part.features_ne, part.positive_n, part.patient_n))


def _shots(finding: str, k: int, train: Labelled, test: Labelled, config: EvaluateConfig) -> Shots:
    if min(train.patients(positive=True), train.patients(positive=False)) < k:
        return Shots(finding, k, None, None, 0)
    aucs = []
    for draw in range(config.draws):
        rng = np.random.default_rng([config.seed, k, draw])
        chosen = np.concatenate([_drawn(train, k, rng, positive=kind) for kind in (True, False)])
        model = _model(FEW_SHOT_STRENGTH).fit(train.features_ne[chosen], train.positive_n[chosen])
        aucs.append(_auc(model.predict_proba(test.features_ne)[:, 1], test.positive_n))
    return Shots(finding, k, float(np.mean(aucs)), float(np.std(aucs)), len(aucs))


def _drawn(train: Labelled, k: int, rng: np.random.Generator, *, positive: bool) -> Array:
    """One sample each of `k` patients with that label."""
    of_kind = np.flatnonzero(train.positive_n == positive)
    patients = rng.permutation(np.unique(train.patient_n[of_kind]))[:k]
    return np.array([rng.choice(of_kind[train.patient_n[of_kind] == one]) for one in patients])


def printed(result: ProbeResult, config: EvaluateConfig) -> list[str]:
    """Lines of the tables."""
    of = f"labels: {result.labels}"
    lines = [*auc_lines(result.table, config.confidence)]
    lines.append(macro_line(result.macro, config.confidence, of))
    by_shots = {(one.finding, one.k): one for one in result.shots}
    fitted = {one.finding: one for one in result.fitted}
    width = max(len(row.finding) for row in result.table)
    heads = "  ".join(f"{f'k = {k}':<13}" for k in config.shots)
    lines += ["", f"{'finding':<{width}}  {'C':>6}  chosen on   positive / negative  {heads}"]
    for row in result.table:
        one = fitted[row.finding]
        counts = f"{one.positives:>8} / {one.negatives:<8}"
        cells = "  ".join(_cell(by_shots[row.finding, k]) for k in config.shots)
        lines.append(
            f"{row.finding:<{width}}  {one.strength:>6g}  {one.chosen_on:<10}  {counts}  {cells}"
        )
    lines.append(_shot_means(result, config))
    if result.left_out:
        names = ", ".join(sorted(result.left_out))
        lines.append(
            f"{len(result.left_out)} findings not probed, since the labels of a split are of one "
            f"kind (--json tells of which): {names}"
        )
    return [line.rstrip() for line in lines]


def _cell(shots: Shots) -> str:
    if shots.auc is None or shots.deviation is None:
        return f"{'-':<13}"
    return f"{f'{shots.auc:.3f} +- {shots.deviation:.3f}':<13}"


def _shot_means(result: ProbeResult, config: EvaluateConfig) -> str:
    """Means over the findings of the macro AUC that have enough patients for every k."""
    counted = {row.finding for row in result.table if row.in_macro}
    whole = {one.finding for one in result.shots} - {
        one.finding for one in result.shots if one.auc is None
    }
    among = counted & whole
    if not among:
        return "No finding of the macro AUC has patients for every k: no mean of few-shot AUCs."
    means = [
        np.mean(
            [
                one.auc
                for one in result.shots
                if one.k == k and one.finding in among and one.auc is not None
            ]
        )
        for k in config.shots
    ]
    told = ", ".join(f"k = {k}: {mean:.3f}" for k, mean in zip(config.shots, means, strict=True))
    return f"mean few-shot AUC of {len(among)} findings, {config.draws} draws each: {told}"
