"""`fvlm-eval cases`: labels of cases by attention over images, beside the mean of images.

Shapes: B cases, L labels, R resamples (the first: all patients once).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import ConfigError
from fvlm_train.cases.dataset import ImagesOfCases, labels_of
from fvlm_train.cases.model import fitted, predicted
from fvlm_train.cases.records import images_of
from fvlm_train.evaluate.metrics import weighted_auc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_train.cases.model import Fit, Pooling
    from fvlm_train.config import EvaluateConfig

Array = np.ndarray[Any, Any]

LAST = "last image"
"""What stands beside: the model of means, shown the newest image alone."""

WAYS: tuple[Pooling, ...] = ("attention", "mean")


@dataclass(frozen=True, slots=True)
class Judged:
    """An AUC, or a difference of two, with its interval; `label` is none for the mean."""

    way: str
    label: str | None
    auc: float
    low: float | None
    high: float | None
    positives: int | None = None


@dataclass(frozen=True, slots=True)
class CasesResult:
    """What the command prints."""

    means: list[Judged]
    table: list[Judged]
    fitted_on: int
    judged: int
    several: int
    patients: int
    labels: int
    not_judged: int

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def judge_cases(
    cases: Sequence[Mapping[str, Any]],
    embedded: Mapping[str, Mapping[str, Array]],
    splits: tuple[str, str],
    fit: Fit,
    config: EvaluateConfig,
) -> CasesResult:
    """Fit on the first of `splits`, judge on the second.

    `last image` shows the mean's model the newest image of each case alone, in both splits. A label
    counts with `evaluate.min_positive_patients` patients that have it and as many that do not.

    Raises:
        ConfigError: no label can be judged, or a split has no cases.
        InputError: no image of a split has an embedding.
    """
    anatomies = sorted({anatomy for of in embedded.values() for anatomy in of})
    parts = []
    for split in splits:
        of_split = [case for case in cases if case["split"] == split]
        if not of_split:
            raise ConfigError(f"split {split}: holds no case; choose another")
        parts.append(ImagesOfCases(of_split, embedded, anatomies))
    train, test = parts
    scores: dict[str, Array] = {
        way: predicted(fitted(train, way, fit), test).numpy() for way in WAYS
    }
    newest = [
        ImagesOfCases([_last(case, embedded) for case in one.cases], embedded, anatomies)
        for one in parts
    ]
    scores[LAST] = predicted(fitted(newest[0], "mean", fit), newest[1]).numpy()
    return _judged(scores, train, test, config)


def _last(case: Mapping[str, Any], embedded: Mapping[str, Mapping[str, Array]]) -> dict[str, Any]:
    """The case with its newest image that has an embedding alone."""
    study, image = [
        (study, image)
        for study in case["studies"]
        for image in study["images"]
        if image["volume_id"] in embedded
    ][-1]
    return {**case, "studies": [{**study, "images": [image]}]}


def _judged(
    scores: Mapping[str, Array],
    train: ImagesOfCases,
    test: ImagesOfCases,
    config: EvaluateConfig,
) -> CasesResult:
    told = [labels_of(case) for case in test.cases]
    present_bl, known_bl = (np.array([one[n].numpy() for one in told]) for n in range(2))
    patients = [case["patient_id"] for case in test.cases]
    weights_rb = _weights(patients, config)
    table: list[Judged] = []
    auc_of: dict[str, list[Array]] = {way: [] for way in scores}
    judged = 0
    for number, label in enumerate(test.labels):
        known_b = known_bl[:, number]
        positive_b = present_bl[known_b, number] == 1
        owners = np.array(patients)[known_b]
        groups = [len(set(owners[kind].tolist())) for kind in (positive_b, ~positive_b)]
        if min(groups) < config.min_positive_patients:
            continue
        judged += 1
        for way, score_bl in scores.items():
            auc_r = weighted_auc(score_bl[known_b, number], positive_b, weights_rb[:, known_b])
            auc_of[way].append(auc_r)
            row = _interval(way, label, auc_r, config)
            table.append(replace(row, positives=int(positive_b.sum())))
    if not judged:
        raise ConfigError(
            "no label has evaluate.min_positive_patients patients with and without it in the split "
            "that is judged: lower it, or export with another --label-set"
        )
    with np.errstate(invalid="ignore"):
        mean_of = {way: np.nanmean(np.stack(auc_rs), axis=0) for way, auc_rs in auc_of.items()}
    means = [_interval(way, None, auc_r, config) for way, auc_r in mean_of.items()]
    for other in ("mean", LAST):
        apart_r = mean_of["attention"] - mean_of[other]
        means.append(_interval(f"attention - {other}", None, apart_r, config))
    return CasesResult(
        means=means,
        table=table,
        fitted_on=len(train),
        judged=len(test),
        several=sum(len(list(images_of(case))) > 1 for case in test.cases),
        patients=len(set(patients)),
        labels=judged,
        not_judged=len(test.labels) - judged,
    )


def printed(result: CasesResult, confidence: float) -> list[str]:
    """Lines of the table."""
    width = max(len(one.way) for one in result.means)
    lines = [f"{'':<{width}}  mean AUC  {confidence:.0%} interval"]
    for one in result.means:
        apart = " - " in one.way
        spread = "-" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
        lines.append(f"{one.way:<{width}}  {one.auc:{'+' if apart else ''}.3f}    {spread}")
    lines.append(
        f"fitted on {result.fitted_on} cases, judged on {result.judged} of {result.patients} "
        f"patients, {result.several} of them with several images; {result.labels} labels, "
        f"{result.not_judged} with too few patients"
    )
    return lines


def _weights(patients: Sequence[str], config: EvaluateConfig) -> Array:
    known, number_b = np.unique(np.array(patients), return_inverse=True)
    rng = np.random.default_rng(config.seed)
    share = np.full(len(known), 1 / len(known))
    weights_rp = rng.multinomial(len(known), share, size=config.bootstrap_samples)
    return np.concatenate([np.ones((1, len(number_b))), weights_rp[:, number_b]])


def _interval(way: str, label: str | None, auc_r: Array, config: EvaluateConfig) -> Judged:
    known = auc_r[1:][~np.isnan(auc_r[1:])]
    ends = [(1 - config.confidence) / 2, (1 + config.confidence) / 2]
    low, high = (float(one) for one in np.quantile(known, ends)) if known.size else (None, None)
    return Judged(way, label, float(auc_r[0]), low, high)
