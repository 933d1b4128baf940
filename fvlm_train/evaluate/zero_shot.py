"""The command `fvlm-eval zero-shot`: scores, labels and the table of AUC."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError, InputError
from fvlm_train.evaluate.groups import GroupScore, score_groups
from fvlm_train.evaluate.labels import read_labels
from fvlm_train.evaluate.metrics import (
    FindingScore,
    MacroScore,
    Unscored,
    score_findings,
    unscored,
    youden_thresholds,
)
from fvlm_train.evaluate.names import FindingNames
from fvlm_train.evaluate.scoring import Score, score_samples
from fvlm_train.evaluate.tables import (
    auc_lines,
    decision_lines,
    group_lines,
    macro_line,
    unscored_lines,
)
from fvlm_train.runs import trained_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from fvlm_train.config import EvaluateConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.groups import Values
    from fvlm_train.evaluate.labels import LabelTable
    from fvlm_train.prompts import Finding


@dataclass(frozen=True, slots=True)
class ZeroShotResult:
    """What the command prints; `label_rows` counts the labels file, None for report labels.

    Labels of `learned_findings` were part of the training loss (train.loss.prompts).
    """

    table: list[FindingScore]
    unscored: list[Unscored]
    macro: MacroScore
    groups: list[GroupScore]
    samples: int
    labels: str
    label_rows: dict[str, int] | None
    step: int
    planned_steps: int | None
    validated: bool
    ignored_columns: tuple[str, ...]
    learned_findings: tuple[str, ...] = ()

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
    *,
    validation: SampleSource | None = None,
    values: Values | None = None,
) -> tuple[ZeroShotResult, pa.Table]:
    """Score the run's model on `source`; the result and the scores as a long table.

    Labels are those of the reports, or of `labels_file`. `validation` are other samples, which
    choose thresholds; `values` are what the samples are of the attributes to group by.

    Raises:
        ConfigError: no finding lies in a trained anatomy, or the split is empty.
        InputError: the run or the labels file cannot be read, or it has no label of these samples.
    """
    import torch

    model, train, step, planned_steps, learned, _ = trained_run(run)
    _check_scope(run, model.anatomies, source, findings)
    labels = None
    if labels_file:
        names = FindingNames(findings)
        labels = read_labels(labels_file.path, labels_file.store, labels_file.vault, names)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    first = len(source)
    total = first + (0 if validation is None else len(validation))

    def scored(samples: SampleSource, before: int) -> tuple[list[Score], list[bool | None]]:
        def told(done: int, _: int) -> None:
            progress(before + done, total)

        scores = score_samples(model, samples, findings, train, config, told)
        return scores, _known(scores, labels, config)

    scores, known = scored(source, 0)
    if labels_file and labels and not any(one is not None for one in labels.of(scores)):
        raise InputError(
            f"labels {labels_file.path.name}: none is of a sample and a finding that are scored: "
            "check --split, and that its findings lie in the trained anatomies, "
            f"{', '.join(model.anatomies)}"
        )
    thresholds = {} if validation is None else youden_thresholds(*scored(validation, first))
    table, macro = score_findings(scores, known, config, thresholds)
    result = ZeroShotResult(
        table=table,
        unscored=unscored(scores, known),
        macro=macro,
        groups=score_groups(scores, known, values or {}, config),
        samples=first,
        labels=labels_file.path.name if labels_file else "reports",
        label_rows=labels.counts() if labels else None,
        step=step,
        planned_steps=planned_steps,
        validated=any(row.by_validation for row in table),
        ignored_columns=labels.ignored if labels else (),
        learned_findings=learned,
    )
    return result, scores_table(scores, known)


def _check_scope(
    run: Path, anatomies: Sequence[str], source: SampleSource, findings: Sequence[Finding]
) -> None:
    if not len(source):
        raise ConfigError("The split to evaluate holds no samples: choose another with --split.")
    if not any(finding.anatomy in anatomies for finding in findings):
        raise ConfigError(
            f"run {run}: no finding of the vocabulary lies in its anatomies, {', '.join(anatomies)}"
        )


def _known(
    scores: Sequence[Score], labels: LabelTable | None, config: EvaluateConfig
) -> list[bool | None]:
    """The label that counts of each score."""
    known = labels.of(scores) if labels else [score.stated for score in scores]
    if config.absent_anatomy == "zero":
        return known
    return [
        # its score is 0 by definition and would only measure which scans show the anatomy
        label if score.anatomy_present else None
        for label, score in zip(known, scores, strict=True)
    ]


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
    """Lines of the tables, best AUC first, and of their mean."""
    of = f"{result.samples} samples of {result.macro.patients} patients, labels: {result.labels}"
    lines = [
        *auc_lines(result.table, confidence),
        macro_line(result.macro, confidence, of),
        *unscored_lines(result.unscored),
        *decision_lines(result.table, validated=result.validated),
        *group_lines(result.groups, confidence),
    ]
    if learned := sorted({row.finding for row in result.table} & set(result.learned_findings)):
        lines.append(
            f"{len(learned)} of {len(result.table)} findings are not zero-shot: training learned "
            "their labels through prompts (train.loss.prompts or dictionary_negatives): "
            f"{', '.join(learned)}"
        )
    if result.ignored_columns:
        lines.append(f"columns of the labels not read: {', '.join(result.ignored_columns)}")
    if result.planned_steps is not None and result.step < result.planned_steps:
        lines.append(
            f"The model is that of step {result.step} of {result.planned_steps}: its training was "
            "not finished."
        )
    if result.label_rows:
        rows = result.label_rows
        lines.append(
            f"labels file: {rows['rows']} rows, {rows['without_study']} of studies that the store "
            f"does not hold, {rows['unknown']} unknown"
        )
    return lines
