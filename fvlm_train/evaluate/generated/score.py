"""Scores of generated reports: findings that the parser reads in both, CRG, likeness of words.

Shapes: N studies, F findings (or labels), P patients, R resamples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import InputError
from fvlm_data.reports.language.records import ASSERTING_SECTIONS
from fvlm_train.evaluate.generated.clinical import Rates, as_table, crg_of, macro_f1, rates
from fvlm_train.evaluate.generated.language import Likeness, likeness

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.reports import ReportParser
    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_train.config import EvaluateConfig
    from fvlm_train.evaluate.generated.files import Written

Array = np.ndarray[Any, Any]

POSITIVE = ("present", "uncertain")


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval by resampled patients; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class GeneratedScores:
    """What the command prints.

    `findings` are those that a report or its reference tells, `sided` the same with their side.
    `f1`, `sided_f1` and `crg` are over all studies at once, `macro_f1` the mean over findings.
    `not_written` studies have a reference and no report, and count as empty; `without_reference`
    take no part.
    """

    studies: int
    patients: int
    not_written: int
    without_reference: int
    label_set: str
    f1: Interval
    sided_f1: Interval
    macro_f1: float | None
    crg: Interval
    by_finding: dict[str, Rates]
    by_label: dict[str, Rates]
    likeness: Likeness

    def as_json(self) -> dict[str, Any]:
        """The whole result as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Read:
    """What a parser reads of a text."""

    findings: set[str]
    sided: set[str]
    labels: set[str]


def score_generated(
    written: Mapping[str, Written],
    references: Mapping[str, Written],
    parser: ReportParser,
    label_set: str,
    config: EvaluateConfig,
) -> GeneratedScores:
    """Score reports by study against their references.

    Raises:
        ConfigError: no label set has that name.
        InputError: no study has both a report and a reference.
    """
    studies = sorted(references)
    if not any(study in written for study in studies):
        raise InputError(
            "no study has both a generated report and a reference; expected the same study_id"
        )
    told = [written[study].text if study in written else "" for study in studies]
    known = [references[study].text for study in studies]
    told_read, known_read = (
        [_read(one, label_set) for one in parser.parse_many(texts)] for texts in (told, known)
    )
    found, sided = (_tables(told_read, known_read, name) for name in ("findings", "sided"))
    labels = _tables(told_read, known_read, "labels", _label_names(parser, label_set))
    resampled = _Resampled([references[study].patient for study in studies], config)
    return GeneratedScores(
        studies=len(studies),
        patients=resampled.patients,
        not_written=sum(study not in written for study in studies),
        without_reference=sum(study not in references for study in written),
        label_set=label_set,
        f1=resampled.f1(found),
        sided_f1=resampled.f1(sided),
        macro_f1=macro_f1(found.told_nf, found.known_nf),
        crg=resampled.crg(labels),
        by_finding=found.rates(),
        by_label=labels.rates(),
        likeness=likeness(told, known),
    )


@dataclass(frozen=True, slots=True)
class _Tables:
    """What is told and what is known (N, F; bool), by column."""

    columns: tuple[str, ...]
    told_nf: Array
    known_nf: Array

    def rates(self) -> dict[str, Rates]:
        return {
            name: rates(self.told_nf[:, f], self.known_nf[:, f])
            for f, name in enumerate(self.columns)
        }


def _tables(
    told: Sequence[_Read], known: Sequence[_Read], what: str, columns: Sequence[str] | None = None
) -> _Tables:
    sets = [[getattr(one, what) for one in part] for part in (told, known)]
    names = columns or sorted({name for part in sets for one in part for name in one})
    return _Tables(tuple(names), as_table(sets[0], names), as_table(sets[1], names))


def _read(parsed: ParsedReport, label_set: str) -> _Read:
    positive = [
        one
        for one in parsed.findings
        if one.status in POSITIVE and parsed.sentences[one.sentence].section in ASSERTING_SECTIONS
    ]
    return _Read(
        findings={one.finding for one in positive},
        sided={f"{one.finding} {one.laterality or ''}".strip() for one in positive},
        labels={name for name, value in parsed.labels(label_set).items() if value == 1},
    )


def _label_names(parser: ReportParser, label_set: str) -> list[str]:
    return list(parser.parse("").labels(label_set))


class _Resampled:
    """Patients drawn again and again, all figures by the same draws."""

    def __init__(self, patient_of: Sequence[str], config: EvaluateConfig) -> None:
        names, self._patient_n = np.unique(np.array(patient_of), return_inverse=True)
        self.patients = len(names)
        self._confidence = config.confidence
        rng = np.random.default_rng(config.seed)
        share = np.full(self.patients, 1 / self.patients)
        self._weights_rp = rng.multinomial(self.patients, share, size=config.bootstrap_samples)

    def f1(self, tables: _Tables) -> Interval:
        told, known = tables.told_nf, tables.known_nf
        counted_p3 = self._by_patient((told & known).sum(1), told.sum(1), known.sum(1))

        def of(counts_r3: Array) -> Array:
            with np.errstate(invalid="ignore"):
                f1_r: Array = 2 * counts_r3[:, 0] / (counts_r3[:, 1] + counts_r3[:, 2])
            return f1_r

        return self._interval(rates(told, known).f1, of(self._weights_rp @ counted_p3))

    def crg(self, tables: _Tables) -> Interval:
        told, known = tables.told_nf, tables.known_nf
        width = np.full(len(told), told.shape[1])
        counted_p4 = self._by_patient(
            (told & known).sum(1), (told & ~known).sum(1), known.sum(1), width
        )
        found_r, invented_r, positive_r, total_r = (self._weights_rp @ counted_p4).T
        with np.errstate(invalid="ignore", divide="ignore"):
            weight_r = (total_r - positive_r) / (2 * positive_r)
            greatest_r = positive_r * weight_r
            score_r = (2 * found_r - positive_r) * weight_r - invented_r
            crg_r = greatest_r / (2 * greatest_r - score_r)
        return self._interval(crg_of(told, known), crg_r)

    def _by_patient(self, *counts: Array) -> Array:
        counted = np.zeros((self.patients, len(counts)))
        for column, count_n in enumerate(counts):
            np.add.at(counted[:, column], self._patient_n, count_n)
        return counted

    def _interval(self, value: float | None, value_r: Array) -> Interval:
        defined_r = value_r[np.isfinite(value_r)]
        if value is None or not len(defined_r):
            return Interval(value, None, None)
        ends = [(1 - self._confidence) / 2, (1 + self._confidence) / 2]
        low, high = np.quantile(defined_r, ends)
        return Interval(value, float(low), float(high))


def printed(scores: GeneratedScores, confidence: float, rows: int = 12) -> list[str]:
    """Lines for a person: figures, then the findings that are told or known most often."""
    lines = [
        f"{scores.studies} studies of {scores.patients} patients",
        f"{confidence:.0%} intervals by patient",
        f"findings F1        {_told(scores.f1)}",
        f"  with their side  {_told(scores.sided_f1)}",
        f"  mean by finding  {_number(scores.macro_f1)}",
        f"CRG, {scores.label_set:<13} {_told(scores.crg)}",
        "BLEU 1 to 4        " + " ".join(f"{one:.3f}" for one in scores.likeness.bleu),
        f"ROUGE-L            {scores.likeness.rouge_l:.3f}",
        f"METEOR, no synonyms {scores.likeness.meteor:.3f}",
    ]
    if scores.not_written:
        lines.append(f"{scores.not_written} studies without a report count as empty")
    if scores.without_reference:
        lines.append(f"{scores.without_reference} reports without a reference take no part")
    shown = sorted(scores.by_finding.items(), key=lambda pair: (-_weight(pair[1]), pair[0]))[:rows]
    lines += [f"{'finding':<32} {'F1':>6} {'right':>6} {'invented':>9} {'missed':>7}"]
    lines += [
        f"{name:<32} {_number(one.f1):>6} {one.true_positive:>6} {one.false_positive:>9} "
        f"{one.false_negative:>7}"
        for name, one in shown
    ]
    return lines


def _weight(one: Rates) -> int:
    return 2 * one.true_positive + one.false_positive + one.false_negative


def _told(one: Interval) -> str:
    if one.low is None or one.high is None:
        return _number(one.value)
    return f"{_number(one.value)} ({one.low:.3f}-{one.high:.3f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
