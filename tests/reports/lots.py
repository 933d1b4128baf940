"""Lots of whole reports and passages: what is missing, too much, or told although it never may be.

A case expects `finding status[|status] [side] [size=mm] [prior=mm] [change=word]`; other mentions
of these findings need a status among theirs or of `also`. `never` is what a careless reader would
take for present (or `finding status [side]`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _pytest.mark.structures import ParameterSet

    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.reports.language.records import FindingMention

READ = ("findings", "impression")


def lot(name: str) -> list[dict[str, Any]]:
    """The cases of a lot."""
    cases: list[dict[str, Any]] = json.loads(
        (Path(__file__).parent / name).read_text(encoding="utf-8")
    )
    return cases


def cases(known: Mapping[str, str], *names: str) -> list[ParameterSet]:
    """The cases of lots as parameters; those of `known` ids must fail, for the reason given."""
    return [
        pytest.param(
            one,
            id=f"{one['id']}: {one['kind']}",
            marks=[pytest.mark.xfail(strict=True, reason=known[one["id"]])]
            if one["id"] in known
            else [],
        )
        for name in names
        for one in lot(name)
    ]


def faults(case: dict[str, Any], parsed: ParsedReport) -> list[str]:
    """What of a case is not as expected, one line each."""
    told = list(parsed.findings)
    if case.get("read_sections_only"):
        told = [m for m in told if parsed.sentences[m.sentence].section in READ]
    wanted = [one.split() for one in case["expected"]]
    made = [" ".join(one) for one in wanted if not any(fits(mention, one) for mention in told)]
    others = [one.split() for one in case.get("also", ())]
    for mention in told:
        named = [one for one in wanted if one[0] == mention.finding]
        allowed = {
            status
            for one in (*named, *(one for one in others if one[0] == mention.finding))
            for status in one[1].split("|")
        }
        if named and mention.status not in allowed:
            made.append(f"{mention.finding} {mention.status} is too much")
        made += [f"{one} may never be told" for one in case["never"] if is_never(mention, one)]
    spoken = {anatomy for one in parsed.sentences for anatomy in one.anatomies}
    made += [f"{one} is not spoken of" for one in case.get("anatomies", ()) if one not in spoken]
    made += [f"{one} is spoken of" for one in case.get("not_anatomies", ()) if one in spoken]
    if "sections" in case and [one.name for one in parsed.sections] != case["sections"]:
        made.append(f"sections {[one.name for one in parsed.sections]}")
    return made


def is_never(mention: FindingMention, never: str) -> bool:
    """Whether a mention is what a case never allows."""
    words = never.split()
    return fits(mention, words if len(words) > 1 else [*words, "present|uncertain"])


def fits(mention: FindingMention, wanted: list[str]) -> bool:
    """Whether a mention is what the words of a case say."""
    name, statuses, *more = wanted
    if mention.finding != name or mention.status not in statuses.split("|"):
        return False
    for one in more:
        key, _, value = one.partition("=")
        found: object = {
            "size": mention.size_mm,
            "prior": mention.prior_size_mm,
            "change": mention.change,
        }.get(key, mention.laterality or "noside")
        right = {float(value)} if key in ("size", "prior") else set((value or key).split("|"))
        if found not in right:
            return False
    return True
