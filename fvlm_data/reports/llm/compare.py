"""Where rules and model read the same report differently."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.llm.client import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.reports.language.parser import ReportParser
    from fvlm_data.reports.llm.reader import LlmReader


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is read differently; `sentence` is none for the state of an anatomy."""

    report_id: str
    sentence: int | None
    what: str
    rules: str
    llm: str


@dataclass(slots=True)
class Comparison:
    """Differences with counts; `refused` are statements of the model that no report bears out."""

    reports: int = 0
    equal: int = 0
    unanswered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without the files."""
        kept = asdict(self)
        del kept["files"]
        return kept


def compare(
    reports: Iterable[tuple[str, str]], parser: ReportParser, reader: LlmReader
) -> Comparison:
    """Read every (report id, scrubbed text) both ways."""
    made = Comparison()
    for report_id, text in reports:
        made.reports += 1
        try:
            reading = reader.read(text)
        except NoAnswerError:
            made.unanswered += 1
            continue
        found = differences(report_id, parser.parse(text), reading.parsed)
        made.equal += not found
        made.refused += reading.refused
        made.differences += found
        made.files.update(reading.files)
    return made


def differences(report_id: str, rules: ParsedReport, llm: ParsedReport) -> list[Difference]:
    """Findings by sentence, anatomies by sentence, states by anatomy."""
    made: list[Difference] = []
    ours, theirs = _statuses(rules), _statuses(llm)
    for number, finding in sorted(ours.keys() | theirs.keys()):
        told = [" and ".join(sorted(s.get((number, finding), ()))) for s in (ours, theirs)]
        if told[0] != told[1]:
            made.append(Difference(report_id, number, finding, told[0] or "-", told[1] or "-"))
    for number, (one, other) in enumerate(zip(rules.sentences, llm.sentences, strict=True)):
        if set(one.anatomies) != set(other.anatomies):
            named = [", ".join(sentence.anatomies) or "-" for sentence in (one, other)]
            made.append(Difference(report_id, number, "anatomies", named[0], named[1]))
    states = rules.anatomy_states(), llm.anatomy_states()
    for anatomy in sorted(states[0]):
        pair = [state[anatomy].state for state in states]
        if pair[0] != pair[1]:
            made.append(Difference(report_id, None, f"state of {anatomy}", pair[0], pair[1]))
    return made


def _statuses(parsed: ParsedReport) -> dict[tuple[int, str], set[str]]:
    made: dict[tuple[int, str], set[str]] = defaultdict(set)
    for mention in parsed.findings:
        made[mention.sentence, f"{mention.finding} ({mention.anatomy})"].add(mention.status)
    return made
