"""Precision, recall and F1 of the report parser on the sentences written by hand in tests/reports.

python bench/reports_quality.py            both halves: tuned on, and kept aside
python bench/reports_quality.py --peer     also default medspaCy on them (reports_peer.py)
python bench/reports_quality.py --errors   also what is wrong in the half that is tuned on
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.reports import ReportParser
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from fvlm_data.reports import ParsedReport

GOLD = Path(__file__).parents[1] / "tests" / "reports" / "gold"
HALVES = {
    "tuned on": (
        ("../sentences.tsv", "open_findings.tsv"),
        "open_assertion.tsv",
        "open_headers.txt",
    ),
    "kept aside": (("aside_findings.tsv",), "aside_assertion.tsv", "aside_headers.txt"),
}
CT_RATE = frozenset(term.id for term in Vocabulary.load().findings if term.ct_rate)
HEADER = re.compile(r"\[\[([^|\]]*)\|([^\]]*)\]\]")


@dataclass(slots=True)
class Counts:
    """Hits, false positives, false negatives by class; cases that are right as a whole."""

    hits: Counter[Hashable] = field(default_factory=Counter)
    extra: Counter[Hashable] = field(default_factory=Counter)
    missed: Counter[Hashable] = field(default_factory=Counter)
    exact: int = 0
    cases: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, expected: Iterable[Hashable], found: Iterable[Hashable], case: str) -> None:
        """Count one case."""
        wanted, got = set(expected), set(found)
        self.hits.update(wanted & got)
        self.extra.update(got - wanted)
        self.missed.update(wanted - got)
        self.exact += wanted == got
        self.cases += 1
        if wanted != got:
            self.errors.append(
                f"{case}\n    missed {sorted(map(str, wanted - got))}"
                f" extra {sorted(map(str, got - wanted))}"
            )

    def f1(self, one: Hashable) -> float:
        """F1 of one class."""
        hits, wrong = self.hits[one], self.extra[one] + self.missed[one]
        return 2 * hits / (2 * hits + wrong) if hits + wrong else 1.0

    def classes(self) -> list[Hashable]:
        """Classes that were expected somewhere."""
        return sorted({*self.hits, *self.missed}, key=str)

    def macro(self) -> float:
        """Mean of the classes' F1."""
        values = [self.f1(one) for one in self.classes()]
        return sum(values) / len(values) if values else float("nan")

    def total(self) -> tuple[float, float, float]:
        """Precision, recall, F1 over all classes."""
        hits, extra, missed = (sum(c.values()) for c in (self.hits, self.extra, self.missed))
        return (
            hits / (hits + extra) if hits + extra else 1.0,
            hits / (hits + missed) if hits + missed else 1.0,
            2 * hits / (2 * hits + extra + missed) if hits + extra + missed else 1.0,
        )


def sentences(names: Iterable[str]) -> Iterator[tuple[str, set[str], set[tuple[str, str]]]]:
    """Sentence, anatomies, (finding, status) of files `sentence | anatomies | findings`."""
    for name in names:
        for line in _lines(GOLD / name):
            text, anatomies, findings = (cell.strip() for cell in line.split("|"))
            pairs = {tuple(item.split(":")[:2]) for item in findings.split()}
            yield text, set(filter(None, anatomies.split(","))), pairs  # type: ignore[misc]


def assertions(name: str) -> Iterator[tuple[str, str, str, str]]:
    """Set, sentence, target, status of a file `set | sentence | target | status`."""
    for line in _lines(GOLD / name):
        kind, text, target, status = (cell.strip() for cell in line.split("|"))
        yield kind, text, target, status


def marked_reports(name: str) -> Iterator[tuple[str, str, list[tuple[int, int, str]]]]:
    """Title, plain text and headers (start, end, section name or `>` and anatomies)."""
    text = "\n".join(_lines(GOLD / name, blank=True))
    for part in re.split(r"^==== ", text, flags=re.MULTILINE)[1:]:
        title, marked = part.split("\n", 1)
        marked = marked.strip("\n")
        plain, headers, last = "", [], 0
        for found in HEADER.finditer(marked):
            plain += marked[last : found.start()]
            headers.append((len(plain), len(plain) + len(found[2]), found[1]))
            plain += found[2]
            last = found.end()
        yield title, plain + marked[last:], headers


def _lines(path: Path, *, blank: bool = False) -> list[str]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#") and (blank or line.strip())]


def measure(parser: ReportParser, half: str) -> dict[str, Counts]:
    """Counts of each task."""
    files, asserted, marked = HALVES[half]
    made = {
        name: Counts()
        for name in (
            "negation",
            "hard phrases",
            "findings",
            "ct_rate",
            "anatomy",
            "several",
            "headers",
            "sub-headers",
        )
    }
    for text, anatomies, pairs in sentences(files):
        parsed = parser.parse(text)
        found = {(m.finding, m.status) for m in parsed.findings}
        named = {a for s in parsed.sentences for a in s.anatomies}
        made["findings"].add(pairs, found, text)
        made["ct_rate"].add(_positive(pairs), _positive(found), text)
        made["anatomy"].add(anatomies, named, text)
        if len(anatomies) > 1:
            made["several"].add(anatomies, named, text)
    for kind, text, target, status in assertions(asserted):
        case = f"{text} [{target}]"
        _add_assertion(made, kind, case, status, parser.assertion(text, target))
    for title, text, headers in marked_reports(marked):
        _headers(parser.parse(text), text, headers, title, made)
    return made


def measure_peer(half: str) -> dict[str, Counts]:
    """Counts of default medspaCy on the tasks that it has; of headers the spans alone count."""
    from reports_peer import DefaultMedspacy

    peer = DefaultMedspacy()
    files, asserted, marked = HALVES[half]
    tasks = ("negation", "hard phrases", "ct_rate", "headers", "sub-headers")
    made = {name: Counts() for name in tasks}
    for text, _, pairs in sentences(files):
        made["ct_rate"].add(_positive(pairs), peer.labels(text), text)
    for kind, text, target, status in assertions(asserted):
        _add_assertion(made, kind, f"{text} [{target}]", status, peer.assertion(text, target))
    for title, text, headers in marked_reports(marked):
        found = peer.headers(text)
        for task, is_sub in (("headers", False), ("sub-headers", True)):
            wanted = {(a, b) for a, b, name in headers if name.startswith(">") == is_sub}
            # What it takes for the other kind of header is not held against it.
            others = {(a, b) for a, b, name in headers if name.startswith(">") != is_sub}
            kept = found - others if not is_sub else found & wanted
            made[task].add({(title, *w) for w in wanted}, {(title, *k) for k in kept}, title)
    return made


def _add_assertion(made: dict[str, Counts], kind: str, case: str, status: str, found: str) -> None:
    """Negation asks whether a general sentence denies; hard phrases ask for the status."""
    if kind == "general":
        negated = {"negated"} if status == "absent" else set()
        made["negation"].add(negated, {"negated"} if found == "absent" else set(), case)
    else:
        made["hard phrases"].add({status}, {found}, case)


def _positive(pairs: Iterable[tuple[str, str]]) -> set[str]:
    return {
        finding
        for finding, status in pairs
        if finding in CT_RATE and status in ("present", "uncertain")
    }


def _headers(
    parsed: ParsedReport,
    text: str,
    headers: list[tuple[int, int, str]],
    title: str,
    made: dict[str, Counts],
) -> None:
    """Section headers must have name and span right, sub-headers span and anatomies."""
    place = {h.start + _lead(text[h.start : h.end]): h for h in parsed.headers}
    sections, subs = set(), set()
    for start, header in place.items():
        stop = start + len(text[start : header.end].split("<")[0].rstrip(" \t*_"))
        if header.section is not None:
            sections.add((start, stop, header.section))
        else:
            subs.add((start, stop, ">" + ",".join(header.anatomies)))
    wanted = {header for header in headers if not header[2].startswith(">")}
    made["headers"].add(
        {("header", title, *h) for h in wanted}, {("header", title, *h) for h in sections}, title
    )
    made["sub-headers"].add(
        {("sub", title, *h) for h in set(headers) - wanted},
        {("sub", title, *h) for h in subs},
        title,
    )


def _lead(piece: str) -> int:
    found = re.match(r"(?:[\s*_#>\u2022-]|<[^>]*>)*", piece)
    return found.end() if found else 0


def table(made: dict[str, Counts]) -> str:
    """The figures of one half as a Markdown table."""
    lines = ["| task | cases | precision | recall | F1 | other |", "|---|---|---|---|---|---|"]
    for task, counts in made.items():
        precision, recall, f1 = counts.total()
        other = f"exact {counts.exact / counts.cases:.3f}" if counts.cases else ""
        if task in ("ct_rate", "anatomy"):
            worst = min(counts.classes(), key=counts.f1, default="")
            other += f", macro F1 {counts.macro():.3f}, worst {worst} {counts.f1(worst):.2f}"
        lines.append(
            f"| {task} | {counts.cases} | {precision:.3f} | {recall:.3f} | {f1:.3f} | {other} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table of each half."""
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    asked.add_argument("--errors", action="store_true", help="list what is wrong (tuned half only)")
    asked.add_argument("--peer", action="store_true", help="default medspaCy as well")
    options = asked.parse_args()
    parser = ReportParser()
    for half in HALVES:
        made = measure(parser, half)
        sys.stdout.write(f"\n{half}\n\n{table(made)}\n")
        if options.peer:
            sys.stdout.write(f"\n{half}, default medspaCy\n\n{table(measure_peer(half))}\n")
        if options.errors and half == "tuned on":
            for task, counts in made.items():
                for error in counts.errors:
                    sys.stdout.write(f"{task}: {error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
