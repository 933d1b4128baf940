"""How well the parser agrees with reports that a person has corrected."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fvlm_data.reports.language.parsed import ParsedReport

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class GoldSentence:
    """What is true of one sentence; `findings` maps (finding, anatomy) to its status.

    `sides` hold laterality where the gold states one; `anatomies` is none where not judged.
    """

    start: int
    end: int
    section: str | None
    anatomies: frozenset[str] | None
    findings: dict[Pair, str]
    sides: dict[Pair, str | None]


@dataclass(frozen=True, slots=True)
class GoldReport:
    """One corrected report."""

    line: int
    text: str
    sentences: tuple[GoldSentence, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts of one class: in both, in the parse only, in the gold only."""

    both: int
    parse_only: int
    gold_only: int

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where there is nothing to find and nothing found."""
        total = 2 * self.both + self.parse_only + self.gold_only
        return 2 * self.both / total if total else 1.0


@dataclass(slots=True)
class Score:
    """Figures over all gold sentences; `disagreements` name line, sentence and what differs."""

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
    disagreements: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def read_gold(path: Path) -> Iterator[GoldReport]:
    """Read corrected reports: JSON objects, one a line, as the review page saves them.

    An object has `text` and `sentences`, each with `start`, `end` and, where judged, `section`,
    `anatomies` and `findings` (finding, anatomy, status, laterality).

    Raises:
        InputError: the file is missing or a line is of another form; the message names it.
    """
    if not path.is_file():
        raise InputError(f"gold file {path}: no such file; expected JSONL of the review page")
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                sentences = tuple(_sentence(one, row["text"]) for one in row["sentences"])
                yield GoldReport(number, row["text"], sentences)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise InputError(
                    f"gold file {path}: line {number} is of another form; expected an object "
                    "with text and sentences (start, end, section, anatomies, findings)"
                ) from None


def _sentence(told: dict[str, Any], text: str) -> GoldSentence:
    start, end = int(told["start"]), int(told["end"])
    if not 0 <= start < end <= len(text):
        raise ValueError("offsets outside of the text")
    findings = told.get("findings") or []
    pairs = [(str(one["finding"]), str(one["anatomy"])) for one in findings]
    anatomies = told.get("anatomies")
    return GoldSentence(
        start,
        end,
        told.get("section"),
        None if anatomies is None else frozenset(anatomies),
        {pair: str(one["status"]) for pair, one in zip(pairs, findings, strict=True)},
        {p: o["laterality"] for p, o in zip(pairs, findings, strict=True) if "laterality" in o},
    )


def score(gold: Sequence[GoldReport], parse: Callable[[str], ParsedReport]) -> Score:
    """Parse each gold text and count where both agree, sentence by sentence."""
    tally = _Tally()
    for report in gold:
        parsed = parse(report.text)
        for number, sentence in enumerate(report.sentences):
            tally.add(f"line {report.line}, sentence {number}", sentence, parsed)
    return tally.score(len(gold))


class _Tally:
    def __init__(self) -> None:
        self.findings: dict[str, Counter[str]] = defaultdict(Counter)
        self.anatomies: dict[str, Counter[str]] = defaultdict(Counter)
        self.counts: Counter[str] = Counter()
        self.absent: Counter[str] = Counter()
        self.disagreements: list[str] = []

    def add(self, place: str, gold: GoldSentence, parsed: ParsedReport) -> None:
        """Compare one gold sentence with those of the parse that it overlaps."""
        touched = [
            number
            for number, one in enumerate(parsed.sentences)
            if one.start < gold.end and gold.start < one.end
        ]
        sentences = [parsed.sentences[number] for number in touched]
        self.counts["sentences"] += 1
        self.counts["spans"] += [(s.start, s.end) for s in sentences] == [(gold.start, gold.end)]
        if gold.section is not None:
            self.counts["sections"] += 1
            self.counts["right sections"] += {s.section for s in sentences} == {gold.section}
        mentions = [m for m in parsed.findings if m.sentence in touched]
        statuses = {(m.finding, m.anatomy): str(m.status) for m in mentions}
        sides = {(m.finding, m.anatomy): m.laterality for m in mentions}
        self._compare_findings(place, gold, statuses, sides)
        if gold.anatomies is not None:
            found = {anatomy for s in sentences for anatomy in s.anatomies}
            self._compare_anatomies(place, gold.anatomies, found)

    def _compare_findings(
        self,
        place: str,
        gold: GoldSentence,
        statuses: dict[Pair, str],
        sides: dict[Pair, Any],
    ) -> None:
        for pair in sorted(gold.findings.keys() | statuses.keys()):
            true, found = gold.findings.get(pair), statuses.get(pair)
            kind = "both" if true and found else "gold" if true else "parse"
            self.findings[pair[0]][kind] += 1
            if "absent" in (true, found):
                self.absent[
                    "both" if true == found else "gold" if true == "absent" else "parse"
                ] += 1
            if kind == "both":
                self.counts["matched"] += 1
                self.counts["right statuses"] += true == found
                if pair in gold.sides:
                    self.counts["sides"] += 1
                    self.counts["right sides"] += gold.sides[pair] == sides[pair]
            if true != found:
                self.disagreements.append(
                    f"{place}: {pair[0]} ({pair[1]}) is {true or 'not there'}, "
                    f"found {found or 'nothing'}"
                )

    def _compare_anatomies(self, place: str, true: frozenset[str], found: set[str]) -> None:
        for anatomy in true | found:
            kind = "both" if anatomy in true & found else "gold" if anatomy in true else "parse"
            self.anatomies[anatomy][kind] += 1
        several = len(true) > 1
        self.counts["judged"] += 1
        self.counts["several"] += several
        self.counts["exact"] += true == found
        self.counts["several exact"] += several and true == found
        if true != found:
            told = [", ".join(sorted(names)) or "none" for names in (true, found)]
            self.disagreements.append(f"{place}: anatomies are {told[0]}, found {told[1]}")

    def score(self, reports: int) -> Score:
        """Shares and F1 values."""
        by_finding = {name: round(_f1(c), 4) for name, c in sorted(self.findings.items())}
        by_anatomy = [_f1(counts) for counts in self.anatomies.values()]
        return Score(
            reports=reports,
            sentences=self.counts["sentences"],
            spans_exact=self._share("spans", "sentences"),
            sections_right=self._share("right sections", "sections"),
            finding_f1_macro=_mean(list(by_finding.values())),
            finding_f1_worst=min(by_finding.values(), default=1.0),
            finding_f1=by_finding,
            absent_f1=round(_f1(self.absent), 4),
            status_right=self._share("right statuses", "matched"),
            laterality_right=self._share("right sides", "sides"),
            anatomy_f1_macro=_mean(by_anatomy),
            anatomies_exact=self._share("exact", "judged"),
            several_anatomies_exact=self._share("several exact", "several"),
            disagreements=self.disagreements,
        )

    def _share(self, part: str, whole: str) -> float:
        total = self.counts[whole]
        return round(self.counts[part] / total, 4) if total else 1.0


def _f1(counts: Counter[str]) -> float:
    return Agreement(counts["both"], counts["parse"], counts["gold"]).f1


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 1.0
