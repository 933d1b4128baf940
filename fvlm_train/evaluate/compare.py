"""The command `fvlm-eval compare`: is one model better than another, on the same samples.

Both bring the scores that `zero-shot` or `probe` wrote. Only what both have counts: sample, finding
and an equal label; what does not match is counted and told.

Shapes: N samples, P patients, R resamples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import InputError
from fvlm_train.evaluate.delong import delong_p
from fvlm_train.evaluate.metrics import weighted_auc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fvlm_train.config import EvaluateConfig

Array = np.ndarray[Any, Any]
Key = tuple[str, str]

COLUMNS = ("sample_id", "patient_id", "finding", "anatomy", "score", "label")


@dataclass(frozen=True, slots=True)
class Difference:
    """AUC of A and of B, and A minus B with its interval and p by resampling patients.

    `p_holm` is that p after Holm's correction over the findings of the mean; `p_delong` takes
    samples for independent and is None where it is not defined, as for the mean.
    """

    finding: str
    anatomy: str
    auc_a: float
    auc_b: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float | None
    p_delong: float | None
    positives: int
    negatives: int
    positive_patients: int
    in_macro: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the command prints; `unmatched` says what was not compared."""

    table: list[Difference]
    macro: Difference | None
    samples: int
    patients: int
    unmatched: dict[str, Any]
    min_positive_patients: int

    def as_json(self) -> dict[str, Any]:
        """The whole result as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Entry:
    patient: str
    anatomy: str
    score: float
    label: bool | None


def read_scores(place: Path, name: str) -> dict[Key, _Entry]:
    """Scores by (sample, finding) of a Parquet file, or of `name` in a run's folder.

    Raises:
        InputError: there is none, it has other columns, or a sample stands twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = place / name if place.is_dir() else place
    if not path.is_file():
        raise InputError(
            f"scores {path}: not found; write them by `fvlm-eval zero-shot` or `fvlm-eval probe` "
            "of that run and split"
        )
    try:
        rows = pq.read_table(path, columns=list(COLUMNS)).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"scores {path}: cannot be read ({type(error).__name__}); expected Parquet with the "
            f"columns {', '.join(COLUMNS)}"
        ) from error
    found: dict[Key, _Entry] = {}
    for row in rows:
        key = (row["sample_id"], row["finding"])
        if key in found:
            raise InputError(f"scores {path}: sample {key[0]}, {key[1]} stands twice; keep one row")
        if row["score"] is None or not np.isfinite(row["score"]):
            raise InputError(f"scores {path}: sample {key[0]}, {key[1]}: score is no number")
        label = None if row["label"] is None else bool(row["label"])
        found[key] = _Entry(row["patient_id"], row["anatomy"], float(row["score"]), label)
    return found


def compare(
    scores_a: Mapping[Key, _Entry], scores_b: Mapping[Key, _Entry], config: EvaluateConfig
) -> Comparison:
    """Compare what both scored.

    Raises:
        InputError: nothing is comparable; says why.
    """
    keys, unmatched = _matched(scores_a, scores_b)
    if not keys:
        raise InputError(_nothing(unmatched))
    patients = sorted({scores_a[key].patient for key in keys})
    number = {patient: place for place, patient in enumerate(patients)}
    rng = np.random.default_rng(config.seed)
    share = np.full(len(patients), 1 / len(patients))
    weights_rp = rng.multinomial(len(patients), share, size=config.bootstrap_samples)
    by_finding: dict[str, list[Key]] = {}
    for key in keys:
        by_finding.setdefault(key[1], []).append(key)
    table: list[Difference] = []
    resampled: dict[str, Array] = {}
    for finding, members in sorted(by_finding.items()):
        positive_n = np.array([bool(scores_a[key].label) for key in members])
        if positive_n.all() or not positive_n.any():
            unmatched["findings of one kind only"].append(finding)
            continue
        patient_n = np.array([number[scores_a[key].patient] for key in members])
        one_n, other_n = (np.array([s[key].score for key in members]) for s in (scores_a, scores_b))
        weights_rn = weights_rp[:, patient_n]
        gap_r = weighted_auc(one_n, positive_n, weights_rn) - weighted_auc(
            other_n, positive_n, weights_rn
        )
        aucs = [_auc(score_n, positive_n) for score_n in (one_n, other_n)]
        with_it = len(set(patient_n[positive_n].tolist()))
        resampled[finding] = gap_r
        table.append(
            _difference(
                finding,
                scores_a[members[0]].anatomy,
                (aucs[0], aucs[1]),
                gap_r,
                config,
                p_delong=delong_p(one_n, other_n, positive_n),
                positives=int(positive_n.sum()),
                negatives=int((~positive_n).sum()),
                positive_patients=with_it,
                in_macro=with_it >= config.min_positive_patients,
            )
        )
    if not table:
        raise InputError(_nothing(unmatched))
    macro = _macro(table, resampled, config)
    table.sort(key=lambda row: (row.p, row.finding))
    samples = len({sample for sample, _ in keys})
    return Comparison(
        _holm(table), macro, samples, len(patients), unmatched, config.min_positive_patients
    )


def _matched(
    scores_a: Mapping[Key, _Entry], scores_b: Mapping[Key, _Entry]
) -> tuple[list[Key], dict[str, Any]]:
    """The keys to compare, sorted, and what is left out."""
    samples_a, samples_b = ({s for s, _ in scores} for scores in (scores_a, scores_b))
    findings_a, findings_b = ({f for _, f in scores} for scores in (scores_a, scores_b))
    both = sorted(scores_a.keys() & scores_b.keys())
    labels = [(scores_a[key].label, scores_b[key].label) for key in both]
    differing = sum(a is not None and b is not None and a != b for a, b in labels)
    return [key for key, (a, b) in zip(both, labels, strict=True) if a is not None and a == b], {
        "samples of A only": len(samples_a - samples_b),
        "samples of B only": len(samples_b - samples_a),
        "findings of A only": sorted(findings_a - findings_b),
        "findings of B only": sorted(findings_b - findings_a),
        "scores with another label": differing,
        "scores with a label in one only": sum((a is None) != (b is None) for a, b in labels),
        "scores without a label": sum(a is None and b is None for a, b in labels),
        "findings of one kind only": [],
    }


def _nothing(unmatched: Mapping[str, Any]) -> str:
    why = "; ".join(_told(unmatched)) or "neither file holds a score"
    return f"nothing can be compared: {why}; score both runs on one split of one store"


def _auc(score_n: Array, positive_n: Array) -> float:
    return float(weighted_auc(score_n, positive_n, np.ones((1, len(score_n))))[0])


def _difference(
    finding: str,
    anatomy: str,
    aucs: tuple[float, float],
    gap_r: Array,
    config: EvaluateConfig,
    **more: Any,
) -> Difference:
    known_r = gap_r[~np.isnan(gap_r)]
    gap = aucs[0] - aucs[1]
    if not known_r.size:  # every resample lost a kind: nothing is known beside the point
        known_r = np.array([-1.0, 1.0])
    tails = (int((known_r <= 0).sum()), int((known_r >= 0).sum()))
    p = min(1.0, 2 * (1 + min(tails)) / (1 + len(known_r)))
    low, high = np.quantile(known_r, [(1 - config.confidence) / 2, (1 + config.confidence) / 2])
    return Difference(
        finding=finding,
        anatomy=anatomy,
        auc_a=aucs[0],
        auc_b=aucs[1],
        difference=gap,
        low=float(low),
        high=float(high),
        p=p,
        p_holm=None,
        **more,
    )


def _macro(
    table: Sequence[Difference], resampled: Mapping[str, Array], config: EvaluateConfig
) -> Difference | None:
    """Of the mean over findings; the resampled patients are the same for all of them."""
    rows = [row for row in table if row.in_macro]
    if not rows:
        return None
    gap_fr = np.array([resampled[row.finding] for row in rows])
    known_r = (~np.isnan(gap_fr)).sum(axis=0)
    mean_r = np.nansum(gap_fr, axis=0)[known_r > 0] / known_r[known_r > 0]
    means = (float(np.mean([r.auc_a for r in rows])), float(np.mean([r.auc_b for r in rows])))
    return _difference(
        "mean",
        "",
        means,
        mean_r,
        config,
        p_delong=None,
        positives=sum(row.positives for row in rows),
        negatives=sum(row.negatives for row in rows),
        positive_patients=min(row.positive_patients for row in rows),
        in_macro=True,
    )


def _holm(table: Sequence[Difference]) -> list[Difference]:
    """Correct the p of the findings of the mean for their number (Holm 1979); `table` is by p."""
    counted = [row for row in table if row.in_macro]
    reached, place, done = 0.0, 0, []
    for row in table:
        if row.in_macro:
            reached = max(reached, min(1.0, row.p * (len(counted) - place)))
            place += 1
            done.append(replace(row, p_holm=reached))
        else:
            done.append(row)
    return done


def printed(result: Comparison, config: EvaluateConfig) -> list[str]:
    """Lines of the table, then what was not compared."""
    width = max(len(row.finding) for row in result.table)
    spread = f"{config.confidence:.0%} interval"
    lines = [
        f"{'finding':<{width}}  AUC A  AUC B  A - B   {spread:<16}  p      Holm   DeLong  "
        "positive / negative"
    ]
    for row in result.table:
        mark = "" if row.in_macro else "  (too few patients for the mean)"
        lines.append(f"{_row(row, width)}  {row.positives:>8} / {row.negatives}{mark}")
    if result.macro is None:
        lines.append(f"No finding has {result.min_positive_patients} positive patients: no mean.")
    else:
        counted = sum(row.in_macro for row in result.table)
        lines.append(f"{_row(result.macro, width)}  of {counted} findings")
    lines.append(
        f"{result.samples} samples of {result.patients} patients; interval and p by resampling "
        "patients; DeLong's p takes the samples of a patient for independent"
    )
    lines += [f"not compared: {told}" for told in _told(result.unmatched)]
    return [line.rstrip() for line in lines]


def _row(row: Difference, width: int) -> str:
    interval = f"{row.low:+.3f} to {row.high:+.3f}"
    return (
        f"{row.finding:<{width}}  {row.auc_a:.3f}  {row.auc_b:.3f}  {row.difference:+.3f}  "
        f"{interval:<16}  {row.p:.3f}  {_p(row.p_holm)}  {_p(row.p_delong)} "
    )


def _p(value: float | None) -> str:
    if value is None:
        return "-    "
    return "<.001" if value < 0.0005 else f"{value:.3f}"


def _told(unmatched: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in unmatched.items():
        if isinstance(value, list) and value:
            lines.append(f"{len(value)} {name}: {', '.join(value)}")
        elif value and not isinstance(value, list):
            lines.append(f"{value} {name}")
    return lines
