"""What image, clinic and reports tell of an outcome: the command `fvlm-eval outcome`.

Baselines: a logistic regression on the features of each part of the table, fitted on one split and
judged on another; intervals by resampling patients, the same resamples for all parts, so that
differences of two parts have an interval of their own. Enrichment: each finding against the outcome
by Fisher's exact test over patients, the share of false discoveries held by Benjamini and Hochberg
(J R Stat Soc B 57:289, 1995).

Shapes: N studies, E features, P patients, R resamples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fvlm_data.errors import ConfigError, InputError
from fvlm_train.evaluate.labelled import Labelled
from fvlm_train.evaluate.metrics import weighted_auc
from fvlm_train.evaluate.probe import chosen_strength, fitted_probability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fvlm_train.config import EvaluateConfig

Array = np.ndarray[Any, Any]

PARTS: Mapping[str, tuple[str, ...]] = {
    "image": ("image:",),
    "clinical": ("clinical:",),
    "image + clinical": ("image:", "clinical:"),
    "findings": ("finding:",),
}
"""Parts of the features by the beginning of their columns' names."""

DIFFERENCES = (("image + clinical", "clinical"), ("image + clinical", "image"))
COLUMNS = ("study_id", "patient_id", "split", "acquired_on", "outcome")


@dataclass(frozen=True, slots=True)
class Studies:
    """Studies with a known outcome: features (N, E; NaN unknown) by name, in the order of `names`.

    `days_n` are the studies' dates, ISO 8601, empty where not known.
    """

    names: tuple[str, ...]
    features_ne: Array
    positive_n: Array
    patient_n: Array
    split_n: Array
    days_n: Array

    def of(self, kept_n: Array) -> Studies:
        """Those studies alone."""
        return Studies(
            self.names, self.features_ne[kept_n], self.positive_n[kept_n], self.patient_n[kept_n],
            self.split_n[kept_n], self.days_n[kept_n],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """A part (or the difference of two) with its AUC and interval, None where there is none.

    `features` are those that it was fitted on, `strength` is scikit-learn's C.
    """

    part: str
    auc: float
    low: float | None
    high: float | None
    features: int | None = None
    strength: float | None = None


@dataclass(frozen=True, slots=True)
class Enriched:
    """A finding against the outcome, over patients: counts, odds ratio, p and its adjusted q.

    The odds ratio is that of the counts with 1/2 added to each (Haldane).
    """

    finding: str
    with_both: int
    finding_only: int
    outcome_only: int
    neither: int
    odds_ratio: float
    p: float
    q: float


@dataclass(frozen=True, slots=True)
class OutcomeResult:
    """What the command prints; `left_out` are parts that are not judged, and why."""

    table: list[Judged]
    differences: list[Judged]
    enriched: list[Enriched]
    left_out: dict[str, str]
    fitted_on: int
    judged: int
    positives: int
    patients: int

    def as_json(self) -> dict[str, Any]:
        """The whole result as plain values."""
        return asdict(self)


def read_studies(file: Path) -> tuple[Studies, int]:
    """Studies with a known outcome, and how many there are without.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{file}: cannot be read ({type(error).__name__}); expected studies.parquet of "
            "`fvlm-data export outcome`"
        ) from error
    lacking = [name for name in COLUMNS if name not in table.column_names]
    if lacking:
        raise InputError(
            f"{file}: lacks column {lacking[0]}; expected studies.parquet of `fvlm-data export "
            "outcome`"
        )
    known = table.filter(table["outcome"].is_valid())
    names = tuple(name for name in table.column_names if ":" in name)
    blocks = [known[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in names]
    features = np.stack(blocks, axis=1) if blocks else np.zeros((known.num_rows, 0))
    plain = {name: known[name].to_pylist() for name in COLUMNS}
    studies = Studies(
        names,
        features,
        np.array(plain["outcome"], bool),
        np.array(plain["patient_id"], object),
        np.array([told or "" for told in plain["split"]], object),
        np.array([told or "" for told in plain["acquired_on"]], object),
    )
    return studies, table.num_rows - known.num_rows


def judge(
    studies: Studies, fit_on: str, split: str, config: EvaluateConfig, only: Sequence[str] = ()
) -> OutcomeResult:
    """Fit each part on one split and judge it on another; enrichment is over all studies.

    `only` are patterns (* for any letters) of the columns that are fitted, none: all.

    Raises:
        ConfigError: a split has not studies with and without the outcome, no part has a feature, or
            a pattern is of no column.
    """
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in studies.names):
            raise ConfigError(
                f"--only {pattern}: of no column; expected a pattern as image:*:bands:*, of what "
                "columns.json names"
            )
    wanted = np.array([not only or any(fnmatchcase(name, one) for one in only)
                       for name in studies.names], bool)  # fmt: skip
    train, test = (studies.of(studies.split_n == name) for name in (fit_on, split))
    for name, studies_of in ((fit_on, train), (split, test)):
        positive_n = studies_of.positive_n
        if len(np.unique(positive_n)) < 2:
            raise ConfigError(
                f"split {name}: {int(positive_n.sum())} of {len(positive_n)} studies "
                "with the outcome; expected studies with and without it"
            )
    score_of: dict[str, Array] = {}
    fitted: dict[str, tuple[int, float]] = {}
    left_out: dict[str, str] = {}
    for part, begins in PARTS.items():
        chosen = wanted & np.array([name.startswith(begins) for name in studies.names], bool)
        fitting, asked = filled(train.features_ne[:, chosen], test.features_ne[:, chosen])
        if not fitting.shape[1]:
            left_out[part] = "no feature that differs between studies it is fitted on"
            continue
        labelled = Labelled(fitting, train.positive_n, train.patient_n, ())
        strength, _ = chosen_strength(labelled, None, config.seed)
        score_of[part] = fitted_probability(labelled, asked, strength)
        fitted[part] = (fitting.shape[1], strength)
    if not score_of:
        raise ConfigError("no part of the table has a feature; run stages radiomics or clinical")
    aucs = _resampled(score_of, test, config)
    table = [_judged(part, aucs[part], config, *fitted[part]) for part in score_of]
    differences = [
        _judged(f"{one} - {other}", aucs[one] - aucs[other], config)
        for one, other in DIFFERENCES
        if one in aucs and other in aucs
    ]
    return OutcomeResult(
        table, differences, enrichment(studies), left_out, len(train.positive_n),
        len(test.positive_n), int(test.positive_n.sum()), len(set(test.patient_n.tolist())),
    )  # fmt: skip


def filled(train_ne: Array, test_ne: Array) -> tuple[Array, Array]:
    """Features without unknowns: the median of what is fitted on, and a column that says so.

    Columns that do not differ between the studies that are fitted on are left out.
    """
    known = ~np.isnan(train_ne)
    some = known.any(axis=0)
    train_ne, test_ne, known = train_ne[:, some], test_ne[:, some], known[:, some]
    if not train_ne.shape[1]:
        return train_ne, test_ne
    median = np.nanmedian(train_ne, axis=0)
    made = []
    for part in (train_ne, test_ne):
        missing = np.isnan(part)
        flags = missing[:, ~known.all(axis=0)].astype(np.float64)
        made.append(np.concatenate([np.where(missing, median, part), flags], axis=1))
    differs = np.ptp(made[0], axis=0) > 0
    return made[0][:, differs], made[1][:, differs]


def enrichment(studies: Studies) -> list[Enriched]:
    """Each finding against the outcome over patients, by q; one study a patient, the first.

    Findings that all patients have, or none, are not tested and count for nothing in q.
    """
    from scipy.stats import fisher_exact

    first = _first_studies(studies)
    chosen = studies.of(first)
    rows = []
    for place, name in enumerate(studies.names):
        has_n = chosen.features_ne[:, place]
        told = ~np.isnan(has_n)
        has, came = has_n[told] > 0, chosen.positive_n[told]
        if not name.startswith("finding:") or not has.any() or has.all():
            continue
        if came.all() or not came.any():
            continue
        counts = (int((has & came).sum()), int((has & ~came).sum()),
                  int((~has & came).sum()), int((~has & ~came).sum()))  # fmt: skip
        a, b, c, d = (count + 0.5 for count in counts)
        p = float(fisher_exact([counts[:2], counts[2:]])[1])
        rows.append((name.removeprefix("finding:"), counts, a * d / (b * c), p))
    q = benjamini_hochberg([p for *_, p in rows])
    made = [
        Enriched(name, *counts, odds, p, adjusted)
        for (name, counts, odds, p), adjusted in zip(rows, q, strict=True)
    ]
    return sorted(made, key=lambda one: (one.q, one.p, one.finding))


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted q of each p: rejecting those with q <= f holds the false discovery rate at f."""
    values = np.asarray(p, np.float64)
    order = np.argsort(-values, kind="stable")
    ranks = np.arange(len(values), 0, -1)
    adjusted = np.minimum.accumulate(values[order] * len(values) / ranks)
    made = np.empty_like(values)
    made[order] = np.minimum(adjusted, 1.0)
    return [float(one) for one in made]


def _first_studies(studies: Studies) -> Array:
    order = sorted(range(len(studies.patient_n)), key=lambda n: (studies.days_n[n], n))
    first: dict[str, int] = {}
    for place in order:
        first.setdefault(studies.patient_n[place], place)
    return np.array(sorted(first.values()), np.int64)


def _resampled(
    score_of: Mapping[str, Array], test: Studies, config: EvaluateConfig
) -> dict[str, Array]:
    """AUC (1 + R,) of each part: of all patients, then of the resampled ones."""
    patients, number_n = np.unique(test.patient_n.astype(str), return_inverse=True)
    rng = np.random.default_rng(config.seed)
    share = np.full(len(patients), 1 / len(patients))
    weights_rp = rng.multinomial(len(patients), share, size=config.bootstrap_samples)
    weights_rn = np.concatenate([np.ones((1, len(number_n))), weights_rp[:, number_n]])
    return {
        part: weighted_auc(score, test.positive_n, weights_rn) for part, score in score_of.items()
    }


def _judged(
    part: str,
    auc_r: Array,
    config: EvaluateConfig,
    features: int | None = None,
    strength: float | None = None,
) -> Judged:
    known = auc_r[1:][~np.isnan(auc_r[1:])]
    ends = [(1 - config.confidence) / 2, (1 + config.confidence) / 2]
    low, high = (float(one) for one in np.quantile(known, ends)) if known.size else (None, None)
    return Judged(part, float(auc_r[0]), low, high, features, strength)


def printed(result: OutcomeResult, confidence: float, fdr: float) -> list[str]:
    """Lines of the tables."""
    spread = f"{confidence:.0%} interval"
    width = max(len(one.part) for one in (*result.table, *result.differences))
    lines = [f"{'features of':<{width}}  {'AUC':<6}  {spread:<15}  features  C"]
    for one in result.table:
        lines.append(
            f"{one.part:<{width}}  {one.auc:<6.3f}  {_interval(one):<15}  {one.features:<8}  "
            f"{one.strength:g}"
        )
    lines += [
        f"{one.part:<{width}}  {one.auc:<+6.3f}  {_interval(one)}" for one in result.differences
    ]
    lines.append(
        f"fitted on {result.fitted_on} studies, judged on {result.judged} of {result.patients} "
        f"patients, {result.positives} with the outcome"
    )
    lines += [f"{part} not judged: {why}" for part, why in sorted(result.left_out.items())]
    found = [one for one in result.enriched if one.q <= fdr]
    lines += ["", f"{len(found)} of {len(result.enriched)} findings with q <= {fdr:g}"]
    for row in found:
        counts = f"{row.with_both} of {row.with_both + row.finding_only} with it, "
        counts += f"{row.outcome_only} of {row.outcome_only + row.neither} without"
        lines.append(f"{row.finding}: odds ratio {row.odds_ratio:.2f}, q {row.q:.2g} ({counts})")
    return lines


def _interval(one: Judged) -> str:
    return "-" if one.low is None or one.high is None else f"{one.low:.3f}-{one.high:.3f}"
