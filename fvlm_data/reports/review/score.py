"""How well the parser agrees with reports that a person has corrected."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.review.gold import paired, same_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.reports.language.records import FindingMention
    from fvlm_data.reports.review.gold import GoldFinding, GoldReport, GoldSentence, Paired

Z = 1.96
"""Quantile of the normal distribution that belongs to a two-sided interval of 95 %."""
DRAWS = 500
"""Draws of reports with replacement, from which intervals of F1 are read."""
KINDS = ("finding", "anatomy", "status", "side", "size")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts of one class: in both, in the parse only, in the gold only."""

    both: int
    parse_only: int
    gold_only: int

    @property
    def precision(self) -> float | None:
        """Share of what was found that is right; none where nothing was found."""
        return _part(self.both, self.both + self.parse_only)

    @property
    def recall(self) -> float | None:
        """Share of what is there that was found; none where nothing is there."""
        return _part(self.both, self.both + self.gold_only)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where there is nothing to find and nothing found."""
        total = 2 * self.both + self.parse_only + self.gold_only
        return 2 * self.both / total if total else 1.0

    def as_dict(self) -> dict[str, Any]:
        """Counts and shares, with Wilson's intervals of 95 %."""
        return {
            "both": self.both,
            "parse_only": self.parse_only,
            "gold_only": self.gold_only,
            "precision": _rounded(self.precision),
            "precision_95": wilson(self.both, self.both + self.parse_only),
            "recall": _rounded(self.recall),
            "recall_95": wilson(self.both, self.both + self.gold_only),
            "f1": round(self.f1, 4),
        }


@dataclass(slots=True)
class Score:
    """Figures over all gold sentences; `disagreements` name line, sentence and what differs.

    `by` holds an `Agreement.as_dict` by kind (finding, anatomy, status, side, size) and class,
    `overall` one by kind, over all its classes, with `f1_95` from draws of reports.
    """

    reports: int = 0
    sentences: int = 0
    spans_exact: float = 0.0
    sections_right: float = 0.0
    finding_f1_macro: float = 0.0
    finding_f1_worst: float = 0.0
    finding_f1: dict[str, float] = field(default_factory=dict)
    absent_f1: float = 0.0
    status_right: float = 0.0
    laterality_right: float = 0.0
    anatomy_f1_macro: float = 0.0
    anatomies_exact: float = 0.0
    several_anatomies_exact: float = 0.0
    overall: dict[str, dict[str, Any]] = field(default_factory=dict)
    by: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


Counts = dict[str, dict[str, Counter[str]]]
"""both, parse and gold, by kind and class."""


def score(gold: Sequence[tuple[int, GoldReport]], parse: Callable[[str], ParsedReport]) -> Score:
    """Parse each gold text and count where both agree, sentence by sentence."""
    tally = _Tally()
    for line, report in gold:
        parsed = parse(report.text or "")
        tally.begin()
        for number, sentence in enumerate(report.sentences):
            tally.add(f"line {line}, sentence {number}", sentence, parsed)
    return tally.score(len(gold))


class _Tally:
    def __init__(self) -> None:
        self.by_report: list[Counts] = []
        self.shares: Counter[str] = Counter()
        self.disagreements: list[str] = []

    def begin(self) -> None:
        """What follows is of the next report."""
        self.by_report.append({kind: defaultdict(Counter) for kind in KINDS})

    def add(self, place: str, gold: GoldSentence, parsed: ParsedReport) -> None:
        """Compare one gold sentence with those of the parse that it overlaps."""
        touched = [
            number
            for number, one in enumerate(parsed.sentences)
            if one.start < gold.end and gold.start < one.end
        ]
        sentences = [parsed.sentences[number] for number in touched]
        self.shares["sentences"] += 1
        self.shares["spans"] += [(s.start, s.end) for s in sentences] == [(gold.start, gold.end)]
        if gold.section is not None:
            self.shares["sections"] += 1
            self.shares["right sections"] += {s.section for s in sentences} == {gold.section}
        mentions = [m for m in parsed.findings if m.sentence in touched]
        for pair in paired(gold.findings, mentions):
            self._compare(place, pair)
        if gold.anatomies is not None:
            found = {anatomy for s in sentences for anatomy in s.anatomies}
            self._compare_anatomies(place, frozenset(gold.anatomies), found)

    def _compare(self, place: str, pair: Paired) -> None:
        gold, found = pair
        one = gold or found
        assert one is not None
        true, told = gold.status if gold else None, found.status if found else None
        self._count("finding", one.finding if gold else None, one.finding if found else None)
        self._count("status", true, told)
        if gold and found:
            self.shares["matched"] += 1
            self.shares["right statuses"] += true == told
            self._compare_details(place, gold, found)
        if true != told:
            self.disagreements.append(
                f"{place}: {one.finding} ({one.anatomy}) is {true or 'not there'}, "
                f"found {told or 'nothing'}"
            )

    def _compare_details(self, place: str, gold: GoldFinding, found: FindingMention) -> None:
        """Side and sizes, as far as the gold gives them."""
        given = gold.model_fields_set
        name = f"{place}: {gold.finding} ({gold.anatomy})"
        if "laterality" in given:
            self._count("side", gold.laterality, found.laterality)
            self.shares["sides"] += 1
            self.shares["right sides"] += gold.laterality == found.laterality
            if gold.laterality != found.laterality:
                self.disagreements.append(
                    f"{name}: side is {gold.laterality or 'none'}, found "
                    f"{found.laterality or 'none'}"
                )
        for size in ("size_mm", "prior_size_mm"):
            if size in given:
                self._compare_sizes(name, size, getattr(gold, size), getattr(found, size))

    def _compare_sizes(self, name: str, size: str, true: float | None, told: float | None) -> None:
        same = same_size(true, told)
        if same:
            self._count(
                "size", size if true is not None else None, size if told is not None else None
            )
            return
        self._count("size", size if true is not None else None, None)
        self._count("size", None, size if told is not None else None)
        shown = [f"{value:g} mm" if value is not None else "none" for value in (true, told)]
        self.disagreements.append(f"{name}: {size} is {shown[0]}, found {shown[1]}")

    def _compare_anatomies(self, place: str, true: frozenset[str], found: set[str]) -> None:
        for anatomy in true | found:
            self._count(
                "anatomy",
                anatomy if anatomy in true else None,
                anatomy if anatomy in found else None,
            )
        several = len(true) > 1
        self.shares["judged"] += 1
        self.shares["several"] += several
        self.shares["exact"] += true == found
        self.shares["several exact"] += several and true == found
        if true != found:
            told = [", ".join(sorted(names)) or "none" for names in (true, found)]
            self.disagreements.append(f"{place}: anatomies are {told[0]}, found {told[1]}")

    def _count(self, kind: str, true: str | None, found: str | None) -> None:
        counts = self.by_report[-1][kind]
        if true is not None and true == found:
            counts[true]["both"] += 1
            return
        if true is not None:
            counts[true]["gold"] += 1
        if found is not None:
            counts[found]["parse"] += 1

    def score(self, reports: int) -> Score:
        """Shares, and agreement by kind and class."""
        by = {kind: _summed(report[kind] for report in self.by_report) for kind in KINDS}
        findings = {name: round(one.f1, 4) for name, one in by["finding"].items()}
        absent = by["status"].get("absent", Agreement(0, 0, 0))
        return Score(
            reports=reports,
            sentences=self.shares["sentences"],
            spans_exact=self._share("spans", "sentences"),
            sections_right=self._share("right sections", "sections"),
            finding_f1_macro=_mean(list(findings.values())),
            finding_f1_worst=min(findings.values(), default=1.0),
            finding_f1=findings,
            absent_f1=round(absent.f1, 4),
            status_right=self._share("right statuses", "matched"),
            laterality_right=self._share("right sides", "sides"),
            anatomy_f1_macro=_mean([one.f1 for one in by["anatomy"].values()]),
            anatomies_exact=self._share("exact", "judged"),
            several_anatomies_exact=self._share("several exact", "several"),
            overall={kind: self._overall(kind) for kind in KINDS},
            by={
                kind: {name: one.as_dict() for name, one in classes.items()}
                for kind, classes in by.items()
            },
            disagreements=self.disagreements,
        )

    def _overall(self, kind: str) -> dict[str, Any]:
        """All classes of a kind together; the interval of F1 by draws of whole reports."""
        each = [_total(report[kind].values()) for report in self.by_report]
        told = _agreement(_total(each)).as_dict()
        return {**told, "f1_95": _drawn_f1(each)}

    def _share(self, part: str, whole: str) -> float:
        total = self.shares[whole]
        return round(self.shares[part] / total, 4) if total else 1.0


def _summed(reports: Iterable[Mapping[str, Counter[str]]]) -> dict[str, Agreement]:
    made: dict[str, Counter[str]] = defaultdict(Counter)
    for classes in reports:
        for name, counts in classes.items():
            made[name].update(counts)
    return {name: _agreement(counts) for name, counts in sorted(made.items())}


def _total(counts: Iterable[Counter[str]]) -> Counter[str]:
    made: Counter[str] = Counter()
    for one in counts:
        made.update(one)
    return made


def _agreement(counts: Counter[str]) -> Agreement:
    return Agreement(counts["both"], counts["parse"], counts["gold"])


def _drawn_f1(each: Sequence[Counter[str]]) -> list[float] | None:
    """Interval of 95 % of F1, from draws of as many reports with replacement, always the same."""
    if len(each) < 2:
        return None
    triples = [(one["both"], one["parse"], one["gold"]) for one in each]
    drawing = random.Random(0)
    drawn = []
    for _ in range(DRAWS):
        sample = drawing.choices(triples, k=len(triples))
        drawn.append(Agreement(*map(sum, zip(*sample, strict=True))).f1)
    drawn.sort()
    return [round(drawn[int(DRAWS * share)], 4) for share in (0.025, 0.975)]


def wilson(part: int, whole: int) -> list[float] | None:
    """Wilson's interval of 95 % of a share; none where there is nothing to count."""
    if not whole:
        return None
    share, spread = part / whole, Z * Z / whole
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]


def _part(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 1.0
