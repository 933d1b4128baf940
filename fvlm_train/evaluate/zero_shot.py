"""The command `fvlm-eval zero-shot`: scores, labels and the table of AUC."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError
from fvlm_train.evaluate.labels import read_labels
from fvlm_train.evaluate.metrics import FindingScore, MacroScore, score_findings
from fvlm_train.evaluate.scoring import Finding, Score, score_samples
from fvlm_train.runs import load_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from fvlm_train.config import EvaluateConfig
    from fvlm_train.data.windows import SampleSource


@dataclass(frozen=True, slots=True)
class ZeroShotResult:
    """What the command prints; `label_rows` counts the labels file, None for report labels."""

    table: list[FindingScore]
    macro: MacroScore
    samples: int
    labels: str
    label_rows: dict[str, int] | None

    def as_json(self) -> dict[str, Any]:
        """The whole result as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LabelsFile:
    """Where labels that are not the reports' come from."""

    path: Path
    store: str
    vault: Path | None = None


def zero_shot(
    run: Path,
    source: SampleSource,
    findings: Sequence[Finding],
    config: EvaluateConfig,
    labels_file: LabelsFile | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[ZeroShotResult, pa.Table]:
    """Score the run's model on `source`; the result and the scores as a long table.

    Labels are those of the reports, or of `labels_file`.

    Raises:
        ConfigError: no finding lies in a trained anatomy, or the split is empty.
        InputError: the run or the labels file cannot be read.
    """
    import torch

    model, train = load_run(run)
    if not len(source):
        raise ConfigError("The split to evaluate holds no samples: choose another with --split.")
    if not any(finding.anatomy in model.anatomies for finding in findings):
        raise ConfigError(
            f"run {run}: no finding of the vocabulary lies in its anatomies, "
            f"{', '.join(model.anatomies)}"
        )
    labels = None
    if labels_file:
        labels = read_labels(labels_file.path, labels_file.store, labels_file.vault)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    scores = score_samples(model, source, findings, train, config, progress)
    known = labels.of(scores) if labels else [score.stated for score in scores]
    if config.absent_anatomy == "excluded":
        known = [
            # its score is 0 by definition and would only measure which scans show the anatomy
            label if score.anatomy_present else None
            for label, score in zip(known, scores, strict=True)
        ]
    table, macro = score_findings(scores, known, config)
    counts = None
    if labels:
        counts = {
            "rows": labels.rows,
            "without_study": labels.rows_without_study,
            "unknown": labels.rows_unknown,
        }
    name = labels_file.path.name if labels_file else "reports"
    return ZeroShotResult(table, macro, len(source), name, counts), scores_table(scores, known)


def scores_table(scores: Sequence[Score], labels: Sequence[bool | None]) -> pa.Table:
    """Scores as a table, one row a sample and finding; `label` is what the AUC counted."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        name: [getattr(score, name) for score in scores]
        for name in ("sample_id", "patient_id", "study_id", "finding", "anatomy")
    }
    columns["anatomy_present"] = pa.array([s.anatomy_present for s in scores], pa.bool_())
    columns["score"] = pa.array([score.score for score in scores], pa.float64())
    columns["label"] = pa.array(list(labels), pa.bool_())
    return pa.table(columns)


def printed(result: ZeroShotResult, confidence: float) -> list[str]:
    """Lines of the table, best AUC first, and of its mean."""
    width = max([len(row.finding) for row in result.table], default=7)
    spread = f"{confidence:.0%} interval"
    lines = [f"{'finding':<{width}}  {'anatomy':<15}  AUC    {spread:<15} positive / negative"]
    for row in result.table:
        mark = "" if row.in_macro else "  (too few patients for the mean)"
        lines.append(
            f"{row.finding:<{width}}  {row.anatomy:<15}  {row.auc:.3f}  "
            f"{_interval(row.low, row.high):<15} {row.positives:>5} / {row.negatives}{mark}"
        )
    macro = result.macro
    if macro.auc is None:
        lines.append(
            f"No finding has {macro.min_positive_patients} positive patients: no macro AUC."
        )
    else:
        lines.append(
            f"macro AUC {macro.auc:.3f} ({spread} {_interval(macro.low, macro.high)}) over "
            f"{macro.findings} findings with at least {macro.min_positive_patients} positive "
            f"patients; {result.samples} samples of {macro.patients} patients, labels: "
            f"{result.labels}"
        )
    if result.label_rows:
        rows = result.label_rows
        lines.append(
            f"labels file: {rows['rows']} rows, {rows['without_study']} of studies that the store "
            f"does not hold, {rows['unknown']} unknown"
        )
    return lines


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"
