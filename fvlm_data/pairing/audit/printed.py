"""The audit as lines for a terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.pairing.audit import Audit
    from fvlm_data.pairing.audit.contradictions import Contradicted
    from fvlm_data.pairing.audit.funnel import Step
    from fvlm_data.pairing.audit.labels import LabelAudit
    from fvlm_data.pairing.audit.negatives import NegativesAudit
    from fvlm_data.pairing.audit.normals import NormalsOfAnatomy
    from fvlm_data.pairing.audit.split_sizes import SplitSize

NEGATIVES_READ = (
    "  Pairs that say the same (both normal, or the same disease) should be no negatives. Policy",
    "  none trains all of them as such, signature and graded none of them, the public code (policy",
    "  reference, normal by the impression alone) those in `misses`. It spares pairs of which a",
    "  report is `silent` about the anatomy, and pairs that say different things (`wrong`).",
    "  graded: sum of the soft weights of abnormal pairs; those of equal disease weigh 1.",
)


def audit_lines(audit: Audit, examples: int = 3) -> Iterator[str]:
    """Every part under a heading; up to `examples` of each disagreement."""
    yield "From files to samples"
    for step in audit.funnel:
        yield from _step(step)
    yield ""
    yield from _splits(audit.splits)
    yield ""
    yield from _negatives(audit.negatives)
    yield ""
    yield from _normals(audit.normals)
    yield ""
    yield from _contradictions(audit.contradictions, examples)
    if audit.labels is not None:
        yield ""
        yield from label_lines(audit.labels, examples)


def _step(step: Step) -> Iterator[str]:
    paper = "".join(f"; {where} {number:,}" for where, number in step.paper.items())
    yield f"  {step.name:30} {step.kept:>9,} of {step.offered:,} {step.unit}{paper}"
    for reason, number in step.excluded.items():
        yield f"    {'':28} {number:>9,} {reason}"


def _splits(rows: tuple[SplitSize, ...]) -> Iterator[str]:
    yield "Splits, by patient"
    yield f"  {'':16} {'patients':>9} {'by split file':>14} {'volumes':>9} {'samples':>9}"
    for one in rows:
        yield (
            f"  {one.split:16} {one.patients:9,} {one.from_file:14,} {one.volumes:9,} "
            f"{one.samples:9,}"
        )


def _negatives(audit: NegativesAudit) -> Iterator[str]:
    yield f"False negatives: pairs of different studies in a batch of {audit.batch_size}"
    unit = "batch" if audit.batches == 1 else "batches"
    yield f"  mean of {audit.batches} {unit} drawn from {audit.drawn_from}"
    yield (
        f"  {'':16} {'in batch':>17} {'':>8}  {'say the same':>17}  {'public code':>23}  "
        f"{'policy':>7}"
    )
    yield (
        f"  {'anatomy':16} {'samples':>8} {'abnormal':>8} {'pairs':>8}  {'normal':>8} "
        f"{'disease':>8}  {'misses':>7} {'silent':>7} {'wrong':>7}  {'graded':>7}"
    )
    for one in audit.anatomies:
        yield (
            f"  {one.anatomy:16} {one.samples:8.1f} {one.abnormal:8.1f} {one.pairs:8.1f}  "
            f"{one.both_normal:8.1f} {one.same_findings:8.1f}  {one.reference_misses:7.1f} "
            f"{one.reference_silent:7.1f} {one.reference_wrong:7.1f}  {one.graded:7.1f}"
        )
    yield from NEGATIVES_READ
    if audit.pairs_apart:
        held = ", ".join(f"{a.anatomy} {a.held_apart:.1f}" for a in audit.anatomies if a.held_apart)
        yield (
            f"  Review holds {audit.pairs_apart:,} pairs apart, which count as different"
            f"{f'; of those that say the same, a batch: {held}' if held else ''}."
        )


def _normals(rows: tuple[NormalsOfAnatomy, ...]) -> Iterator[str]:
    yield "Normal by the impression alone (the public code's rule), and what the whole report says"
    yield (
        f"  {'anatomy':16} {'normal':>7} {'abnormal':>9} {'stated':>7} {'silent':>7} {'wrong':>6}"
        "   CT-RATE, by its labels"
    )
    for row in rows:
        share = f"{row.abnormal / row.normal:.0%}" if row.normal else "-"
        there = f"{row.ct_rate[0]} of {row.ct_rate[1]}" if row.ct_rate else ""
        line = (
            f"  {row.anatomy:16} {row.normal:7,} {row.abnormal:9,} {row.normal_stated:7,} "
            f"{row.not_mentioned:7,} {share:>6}   {there}"
        )
        yield line.rstrip()


def _contradictions(rows: tuple[Contradicted, ...], examples: int) -> Iterator[str]:
    yield f"Text against image{'' if rows else ': no contradiction'}"
    for row in rows:
        where = row.anatomy or "whole report"
        unit = "study" if row.studies == 1 else "studies"
        yield f"  {row.studies:,} {unit}, {row.strength}: {row.check}, {where}"
        for study, detail in row.examples[:examples]:
            yield f"    {study}: {detail}"


def label_lines(audit: LabelAudit, examples: int = 3) -> Iterator[str]:
    """The comparison with a label file alone."""
    read_as = f", read as {audit.label_set}" if audit.label_set else ""
    yield f"Against the label file{read_as}: {audit.studies:,} studies from {audit.rows:,} rows"
    for reason, number in audit.not_compared.items():
        yield f"    {number:>9,} not compared: {reason}"
    if audit.unknown_columns:
        yield f"    columns that are no label of it: {', '.join(audit.unknown_columns)}"
    yield (
        f"  {'label':36} {'both':>6} {'only ours':>10} {'only label':>11} {'precision':>10} "
        f"{'recall':>7}"
    )
    for score in audit.scores:
        yield (
            f"  {score.finding:36} {score.both:6,} {score.only_ours:10,} {score.only_label:11,} "
            f"{_rate(score.precision):>10} {_rate(score.recall):>7}"
        )
    for finding, group in groupby(audit.disagreements, key=lambda one: one.finding):
        rows = list(group)
        yield f"  {finding}: {len(rows)} disagreement{'s' if len(rows) > 1 else ''}"
        for row in rows[:examples]:
            unsaid = "" if row.sentences else "; it does not speak of the anatomy"
            yield f"    {row.study_id}: label {row.label}, report {row.status}{unsaid}"
            yield from (f'      "{sentence}"' for sentence in row.sentences)
        if len(rows) > examples:
            yield f"    ... {len(rows) - examples} more: --json lists all"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
