"""Evaluation as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_train.evaluate.decisions import Decision
    from fvlm_train.evaluate.groups import GroupScore
    from fvlm_train.evaluate.metrics import FindingScore, MacroScore, Unscored

RULES = {"validation": "Youden on validation", "test": "closest corner on these labels"}
"""Where a threshold comes from; the second is the public code's, and too good."""


def auc_lines(table: Sequence[FindingScore], confidence: float) -> list[str]:
    """AUC of each finding with its interval."""
    width = max([len(row.finding) for row in table], default=7)
    spread = f"{confidence:.0%} interval"
    lines = [f"{'finding':<{width}}  {'anatomy':<15}  AUC    {spread:<15} positive / negative"]
    for row in table:
        mark = "" if row.in_macro else "  (too few patients for the mean)"
        lines.append(
            f"{row.finding:<{width}}  {row.anatomy:<15}  {row.auc:.3f}  "
            f"{_interval(row.low, row.high):<15} {row.positives:>5} / {row.negatives}{mark}"
        )
    return lines


def macro_line(macro: MacroScore, confidence: float, of: str) -> str:
    """The mean AUC; `of` says what was scored."""
    if macro.auc is None:
        return f"No finding has {macro.min_positive_patients} positive patients: no macro AUC."
    return (
        f"macro AUC {macro.auc:.3f} ({confidence:.0%} interval "
        f"{_interval(macro.low, macro.high)}) over {macro.findings} findings with at least "
        f"{macro.min_positive_patients} positive patients; {of}"
    )


def decision_lines(table: Sequence[FindingScore], *, validated: bool) -> list[str]:
    """Average precision, calibration, and the rates at each threshold.

    `validated` says whether thresholds were chosen on validation data.
    """
    if not table:
        return []
    width = max(len(row.finding) for row in table)
    lines = [
        "",
        f"{'finding':<{width}}  AP     ECE    threshold  sens.  spec.  acc.   prec.  F1 weighted  "
        "F1 macro",
    ]
    for row in table:
        head = f"{row.finding:<{width}}  {row.average_precision:.3f}  {_rate(row.ece)}"
        for mark, decision in (("v", row.by_validation), ("t", row.by_test)):
            if decision is not None:
                lines.append(f"{head}  {_decision(decision, mark)}")
                head = " " * len(head)
    told = [f"t: {RULES['test']}, the public code's way: its rates are too good"]
    told += [f"v: {RULES['validation']}"] if validated else []
    lines.append("; ".join(told))
    if not validated:
        lines.append(
            "No threshold is from validation data: there are none with labels, so no rate here is "
            "an honest one."
        )
    return lines


def unscored_lines(unscored: Sequence[Unscored]) -> list[str]:
    """Findings without an AUC, and why."""
    return [
        f"not scored: {one.finding} ({one.anatomy}): {one.why}, {one.positives} positive, "
        f"{one.negatives} negative, {one.unknown} unknown"
        for one in unscored
    ]


def group_lines(groups: Sequence[GroupScore], confidence: float) -> list[str]:
    """Mean AUC by group."""
    if not groups:
        return []
    width = max(len(group.value) for group in groups)
    lines = [
        "",
        f"{'group':<12}  {'':<{width}}  AUC    {f'{confidence:.0%} interval':<15} findings  "
        "samples / patients",
    ]
    for group in groups:
        auc = "-    " if group.macro.auc is None else f"{group.macro.auc:.3f}"
        lines.append(
            f"{group.attribute:<12}  {group.value:<{width}}  {auc}  "
            f"{_interval(group.macro.low, group.macro.high):<15} {group.macro.findings:>8}  "
            f"{group.samples} / {group.patients}"
        )
    return lines


def _decision(decision: Decision, mark: str) -> str:
    return (
        f"{mark} {decision.threshold:7.3f}  {decision.sensitivity:.3f}  "
        f"{decision.specificity:.3f}  {decision.accuracy:.3f}  {_rate(decision.precision)}  "
        f"{decision.f1_weighted:.3f}        {decision.f1_macro:.3f}"
    )


def _rate(value: float | None) -> str:
    return "-    " if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"
