"""What the difference of two embeddings tells of change over time, beside what the finding tells.

For each label of change (new, larger, ...) a logistic regression of it against the other labels,
all findings together. The baseline knows only which finding it is; the model also the difference of
the anatomy's embeddings in the two studies.

Shapes: N rows of pairs_over_time.parquet with a label, E features of an embedding, F findings.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fvlm_data.errors import ConfigError, InputError
from fvlm_train.evaluate.labelled import Labelled
from fvlm_train.evaluate.metrics import score_findings
from fvlm_train.evaluate.probe import chosen_strength, fitted_probability
from fvlm_train.evaluate.scoring import Score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fvlm_train.config import EvaluateConfig
    from fvlm_train.evaluate.metrics import FindingScore

Array = np.ndarray[Any, Any]
Embedded = dict[tuple[str, str], Array]

EMBEDDING_COLUMNS = ("anatomy", "embedding")
PAIR_COLUMNS = (
    "patient_id", "split", "prior_study_id", "study_id", "anatomy", "finding", "change",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChangePairs:
    """Labelled rows: differences (N, E) current - prior, and of each finding, label and patient."""

    differences_ne: Array
    findings: tuple[str, ...]
    changes: tuple[str, ...]
    patients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """AUC of a label of change by the model and by the baseline, with the strengths fitted."""

    change: str
    model: FindingScore
    baseline: FindingScore
    strength: float
    baseline_strength: float


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """What the command prints; `left_out` are labels that are not judged, and why."""

    table: list[Read]
    left_out: dict[str, str]
    fitted_on: int
    judged: int

    def as_json(self) -> dict[str, Any]:
        """The whole result as plain values."""
        return asdict(self)


def read_embeddings(
    files: Sequence[Path], of: Literal["study_id", "volume_id"] = "study_id"
) -> Embedded:
    """Mean embedding (E,) of each study (or volume) and anatomy, over its samples.

    Raises:
        InputError: a file cannot be read, or lacks a column.
    """
    found: dict[tuple[str, str], list[Array]] = {}
    for file in files:
        for row in _rows(file, (of, *EMBEDDING_COLUMNS), "what `fvlm-eval embed` writes"):
            key = row[of], row["anatomy"]
            found.setdefault(key, []).append(np.asarray(row["embedding"], np.float64))
    if len({one.shape for several in found.values() for one in several}) > 1:
        raise InputError("embeddings: of several lengths; expected tables of one run")
    return {key: np.mean(several, axis=0) for key, several in found.items()}


def read_pairs(file: Path, embedded: Embedded) -> dict[str, ChangePairs]:
    """By split the rows with a label of which both studies have an embedding of the anatomy.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    rows = _rows(file, PAIR_COLUMNS, "what `fvlm-data export change` writes")
    by_split: dict[str, list[tuple[Array, str, str, str]]] = {}
    for row in rows:
        before = embedded.get((row["prior_study_id"], row["anatomy"]))
        now = embedded.get((row["study_id"], row["anatomy"]))
        if row["change"] and row["split"] and before is not None and now is not None:
            told = now - before, row["finding"], row["change"], row["patient_id"]
            by_split.setdefault(row["split"], []).append(told)
    return {
        split: ChangePairs(np.array([one[0] for one in told]), *(
            tuple(column) for column in list(zip(*told, strict=True))[1:]
        ))
        for split, told in by_split.items()
    }  # fmt: skip


def read_changes(
    parts: Mapping[str, ChangePairs], fit_on: str, split: str, config: EvaluateConfig
) -> ChangeResult:
    """Fit on one split, judge on another.

    Raises:
        ConfigError: no label of change has rows with and without it in both splits.
    """
    for name in (fit_on, split):
        if name not in parts:
            raise ConfigError(
                f"split {name}: no pair of studies with a label and embeddings of both; expected "
                "--embeddings of all studies of this split"
            )
    train, test = parts[fit_on], parts[split]
    named = sorted(set(train.findings))
    table, left_out = [], {}
    for change in sorted({*train.changes, *test.changes}):
        kinds = [{one == change for one in part.changes} for part in (train, test)]
        if any(len(one) < 2 for one in kinds):
            left_out[change] = "its rows, or those without it, are missing in a split"
            continue
        model, strength = _judged(train, test, change, named, config, with_difference=True)
        baseline, weak = _judged(train, test, change, named, config, with_difference=False)
        table.append(Read(change, model, baseline, strength, weak))
    if not table:
        raise ConfigError(
            f"no label of change has rows with and without it both in {fit_on} and in {split}"
        )
    return ChangeResult(table, left_out, len(train.changes), len(test.changes))


def _judged(
    train: ChangePairs,
    test: ChangePairs,
    change: str,
    findings: Sequence[str],
    config: EvaluateConfig,
    *,
    with_difference: bool,
) -> tuple[FindingScore, float]:
    fitted, asked = (
        _labelled(part, change, findings, with_difference=with_difference) for part in (train, test)
    )
    strength, _ = chosen_strength(fitted, None, config.seed)
    probability_n = fitted_probability(fitted, asked.features_ne, strength)
    scores = [
        Score(str(number), patient, "", change, "", True, float(one), None)
        for number, (patient, one) in enumerate(zip(test.patients, probability_n, strict=True))
    ]
    (row,), _ = score_findings(scores, asked.positive_n.tolist(), config)
    return row, strength


def _labelled(
    part: ChangePairs, change: str, findings: Sequence[str], *, with_difference: bool
) -> Labelled:
    """Which finding it is (N, F), and after that the difference (N, E)."""
    which_nf = np.array([[one == finding for finding in findings] for one in part.findings])
    blocks = [which_nf.astype(np.float64)]
    if with_difference:
        blocks.append(part.differences_ne)
    positive_n = np.array([one == change for one in part.changes])
    return Labelled(np.concatenate(blocks, axis=1), positive_n, np.array(part.patients), ())


def printed(result: ChangeResult, confidence: float) -> list[str]:
    """Lines of the table."""
    spread = f"{confidence:.0%} interval"
    lines = [
        f"{'change':<10} {'AUC':<6} {spread:<15} {'by finding':<10}  {spread:<15} with / without"
    ]
    for row in result.table:
        one, other = row.model, row.baseline
        lines.append(
            f"{row.change:<10} {one.auc:<6.3f} {_interval(one):<15} {other.auc:<10.3f}  "
            f"{_interval(other):<15} {one.positives:>4} / {one.negatives}"
        )
    lines.append(f"fitted on {result.fitted_on} pairs, judged on {result.judged}")
    lines += [f"{change} not judged: {why}" for change, why in sorted(result.left_out.items())]
    return lines


def _interval(row: FindingScore) -> str:
    return "-" if row.low is None or row.high is None else f"{row.low:.3f}-{row.high:.3f}"


def _rows(file: Path, columns: Sequence[str], expected: str) -> list[dict[str, Any]]:
    try:
        lacking = sorted(set(columns) - set(pq.read_schema(file).names))
        if not lacking:
            rows: list[dict[str, Any]] = pq.read_table(file, columns=list(columns)).to_pylist()
            return rows
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{file}: cannot be read ({type(error).__name__}); expected {expected}"
        ) from error
    raise InputError(f"{file}: lacks column {lacking[0]}; expected {expected}")
