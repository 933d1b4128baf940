"""The command `fvlm-eval doubtful`: where model and report disagree most, for a person to look at.

A logistic regression of each finding on the embedding of its anatomy, cross-fitted by patient: it
never judges whom it was fitted on; then confident learning (Northcutt et al., JAIR 2021): a
label is doubted if the model is surer of the opposite than it is, on average, of samples that bear
the opposite label.

What is honest here: no probe has seen the labels that it judges. The embeddings have not either if
the run was trained on another split (`seen_in_training` is false). Of the split that it was trained
on, the model has read these very reports: it may have learned a wrong label by heart, and then does
not doubt it. So ranks there miss more; they do not accuse more.

Shapes: N samples of a finding, E features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import ConfigError
from fvlm_train.evaluate.labelled import Labelled
from fvlm_train.evaluate.probe import fitted_probability, patient_folds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fvlm_train.config import EvaluateConfig

Array = np.ndarray[Any, Any]

LEAST = 1e-3
"""Probability below which a probe's word counts no more."""

STRENGTH = 0.1
"""C of the probes: strong regularisation, as some of the labels are held to be wrong."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One label of one sample, `rank` 1 the most doubtful.

    `probability` of the finding is cross-fitted; `log_odds` that the label is wrong rank the rows
    (`log_odds_wrong`); `doubted` by confident learning. `state` is
    what the report says of the anatomy: a silent report that may have passed over something
    (not_mentioned) is another case than one that denies it.
    """

    rank: int
    log_odds: float
    doubted: bool
    report_id: str | None
    report_ids: tuple[str, ...]
    sample_id: str
    study_id: str
    patient_id: str
    finding: str
    anatomy: str
    label: bool
    probability: float
    state: str | None
    seen_in_training: bool


@dataclass(frozen=True, slots=True)
class DoubtResult:
    """All labels that were judged, most doubtful first, and findings that were not."""

    rows: list[Doubt]
    left_out: dict[str, str]
    folds: int
    seen_in_training: bool


def doubtful(
    parts: Mapping[str, Labelled],
    config: EvaluateConfig,
    facts: Facts,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DoubtResult:
    """Judge the labels of a split, `parts` by finding; of a study's samples the most doubted.

    Raises:
        ConfigError: no finding has positive and negative patients in every fold.
    """
    judged: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for number, (finding, part) in enumerate(parts.items(), start=1):
        fewest = min((part.patients(positive=kind) for kind in (True, False)), default=0)
        if fewest < config.folds:
            positives = part.patients(positive=True)
            left_out[finding] = (
                f"{positives} positive and {part.patients(positive=False)} negative patients, "
                f"fewer than the {config.folds} folds (evaluate.folds)"
            )
            continue
        judged += _judged(part, cross_fitted(part, config.folds, config.seed))
        progress(number, len(parts))
    if not judged:
        raise ConfigError(
            f"no finding has {config.folds} positive and {config.folds} negative patients, one for "
            "each fold: choose another --split, or fewer evaluate.folds"
        )
    judged = _one_a_study(judged)
    judged.sort(key=lambda one: (-one["log_odds"], one["row"].sample_id, one["row"].finding))
    rows = [facts.doubt(rank, one) for rank, one in enumerate(judged, start=1)]
    return DoubtResult(rows, left_out, config.folds, facts.seen_in_training)


def cross_fitted(part: Labelled, folds: int, seed: int) -> Array:
    """Probability (N,) of the finding by probes that have not seen the sample's patient."""
    probability_n = np.full(len(part.positive_n), np.nan)
    for inside, outside in patient_folds(part, folds, seed):
        fitted_on = Labelled(
            part.features_ne[inside], part.positive_n[inside], part.patient_n[inside], ()
        )
        if fitted_on.kinds == 2:
            probability_n[outside] = fitted_probability(
                fitted_on, part.features_ne[outside], STRENGTH
            )
    return probability_n


def _judged(part: Labelled, probability_n: Array) -> list[dict[str, Any]]:
    """Probability, log-odds and doubt of the samples of one finding."""
    known_n = ~np.isnan(probability_n)
    positive_n = part.positive_n
    # of class c: how sure the model is of it where the label says c
    least = [
        float(probability_n[known_n & positive_n].mean()),
        float(1 - probability_n[known_n & ~positive_n].mean()),
    ]
    over_present_n = probability_n - least[0]
    over_absent_n = (1 - probability_n) - least[1]
    margin_n = np.where(positive_n, over_absent_n - over_present_n, over_present_n - over_absent_n)
    opposite_n = np.where(positive_n, over_absent_n, over_present_n)
    doubted_n = (opposite_n >= 0) & (margin_n > 0)
    odds_n = log_odds_wrong(probability_n, positive_n)
    return [
        {
            "row": row,
            "label": bool(positive_n[n]),
            "probability": float(probability_n[n]),
            "log_odds": float(odds_n[n]),
            "doubted": bool(doubted_n[n]),
        }
        for n, row in enumerate(part.rows)
        if known_n[n]
    ]


def log_odds_wrong(probability_n: Array, positive_n: Array) -> Array:
    """Log-odds (N,) that each label is wrong, but for a constant.

    By Bayes, if as many labels of a finding are wrong one way as the other. Margins of confident
    learning would not do: of a rare finding every probability is low, so that a label that is
    falsely present never stands out by its margin.
    """
    share = float(positive_n.mean())
    p_n = np.clip(probability_n, LEAST, 1 - LEAST)
    logit_n = np.log(p_n / (1 - p_n))
    wrong_n: Array = np.where(positive_n, -logit_n, logit_n - np.log(share / (1 - share)))
    return wrong_n


def _one_a_study(judged: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Volumes of a study share its report: the most doubtful stands for them."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for one in judged:
        key = (one["row"].study_id, one["row"].finding)
        if key not in best or one["log_odds"] > best[key]["log_odds"]:
            best[key] = one
    return list(best.values())


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of samples beside scores: their studies' reports, what these say."""

    reports: Mapping[str, tuple[str, ...]]
    states: Mapping[tuple[str, str], str]
    seen_in_training: bool

    def doubt(self, rank: int, one: Mapping[str, Any]) -> Doubt:
        """A row of the result."""
        row = one["row"]
        reports = self.reports.get(row.study_id, ())
        return Doubt(
            rank=rank,
            log_odds=one["log_odds"],
            doubted=one["doubted"],
            report_id=reports[0] if reports else None,
            report_ids=reports,
            sample_id=row.sample_id,
            study_id=row.study_id,
            patient_id=row.patient_id,
            finding=row.finding,
            anatomy=row.anatomy,
            label=one["label"],
            probability=one["probability"],
            state=self.states.get((row.sample_id, row.anatomy)),
            seen_in_training=self.seen_in_training,
        )


def precision_at(rows: Sequence[Doubt], wrong: set[tuple[str, str]], k: int) -> float:
    """Share of the first `k` rows whose (study, finding) is known to be wrong."""
    first = rows[:k]
    return sum((row.study_id, row.finding) in wrong for row in first) / max(len(first), 1)


def as_rows(result: DoubtResult) -> list[dict[str, Any]]:
    """Rows as plain values."""
    return [{**asdict(row), "report_ids": list(row.report_ids)} for row in result.rows]


def printed(result: DoubtResult, shown: int) -> list[str]:
    """The first rows, then counts."""
    rows = result.rows[:shown]
    width = max(len(row.finding) for row in rows)
    lines = [f"rank  report                  {'finding':<{width}}  report says   model  log-odds"]
    for row in rows:
        said = "present" if row.label else "not mentioned" if row.state == "not_mentioned" else ""
        said = said or "absent"
        report = row.report_id or row.study_id
        lines.append(
            f"{row.rank:>4}  {report:<22}  {row.finding:<{width}}  {said:<13} {row.probability:.3f}"
            f"  {row.log_odds:+.2f}"
        )
    doubted = sum(row.doubted for row in result.rows)
    lines.append(
        f"{doubted} of {len(result.rows)} labels doubted, by probes cross-fitted over "
        f"{result.folds} folds of patients"
    )
    if result.seen_in_training:
        lines.append(
            "The run was trained on this split and has read these reports: what it learned by "
            "heart it does not doubt. A run trained on another split finds more."
        )
    if result.left_out:
        names = ", ".join(sorted(result.left_out))
        lines.append(
            f"{len(result.left_out)} findings not judged, since fewer than {result.folds} patients "
            f"have them, or have them not (evaluate.folds): {names}"
        )
    return [line.rstrip() for line in lines]
