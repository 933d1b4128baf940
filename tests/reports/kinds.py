"""Cases of kinds.tsv, and what of them a parsed report does not say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fvlm_data.reports.language.parsed import ParsedReport

_WANTED = re.compile(
    r"(?P<finding>\w+):(?P<status>[a-z]+)(?::(?P<sides>[a-z,]+))?"
    r"(?:@(?P<size>[\d.]+))?(?:<(?P<prior>[\d.]+))?(?:~(?P<change>\w+))?"
)


@dataclass(frozen=True)
class KindCase:
    kind: str
    text: str
    expected: str

    known: bool = False
    """Whether it is known to be read wrongly."""


def kind_cases(file: str = "kinds.tsv") -> list[KindCase]:
    made = []
    for line in (Path(__file__).parent / file).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            kind, text, expected = (part.strip() for part in line.split(" | "))
            known = text.startswith("! ")
            text = text.removeprefix("! ").replace("⏎", "\n").replace("⇥", "\t").replace("¦", "|")
            made.append(KindCase(kind, text, expected, known))
    return made


def differences(parsed: ParsedReport, expected: str) -> list[str]:
    """What is not as expected, one line each."""
    wanted = [found for item in expected.split() if (found := _WANTED.fullmatch(item))]
    told = [m for m in parsed.findings if m.finding != "other_abnormality"]
    made = []
    asked = {(w["finding"], w["status"]) for w in wanted}
    if wanted or "-" in expected.split():
        said = {(m.finding, m.status) for m in told}
        made += [f"{f} {s} is missing" for f, s in sorted(asked - said)]
        made += [f"{f} {s} is too much" for f, s in sorted(said - asked)]
    for want in wanted:
        here = [m for m in told if (m.finding, m.status) == (want["finding"], want["status"])]
        for name, value in (
            ("sides", {m.laterality or "none" for m in here}),
            ("size", {m.size_mm for m in here}),
            ("prior", {m.prior_size_mm for m in here}),
            ("change", {m.change for m in here}),
        ):
            if want[name] is None or not here:
                continue
            right = (
                set(want[name].split(",")) if name in ("sides", "change") else {float(want[name])}
            )
            if not right <= value or (name == "sides" and value != right):
                made.append(f"{want['finding']}: {name} {value}")
    for item in expected.split():
        name, _, value = item.partition("=")
        if name == "sentences" and len(parsed.sentences) != int(value):
            made.append(f"sentences {len(parsed.sentences)}")
        if name == "sections" and [s.name for s in parsed.sections] != value.split(","):
            made.append(f"sections {[s.name for s in parsed.sections]}")
        if name == "anatomies":
            spoken = {a for s in parsed.sentences for a in s.anatomies}
            if not spoken or not spoken <= set(value.split(",")):
                made.append(f"anatomies {sorted(spoken)}")
    return made
