"""Titles that a line denies under another name: "Lymphoma/PTLD: no lymphadenopathy"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.analysed import Head

_FAR = 3
"""Words between the name of a finding and the colon of its title."""


def with_denied_titles(heads: list[Head], words: Sequence[str]) -> list[Head]:
    """Heads, those of a title absent where the same finding is denied right behind its colon."""
    if ":" not in words:
        return heads
    colon = words.index(":")
    denials = [
        head
        for head in heads
        if head.status == "absent"
        and head.start > colon
        and head.cue is not None
        and head.cue[0] == colon + 1
    ]
    if colon < 1 or not denials:
        return heads
    denied = {finding[:2] for head in denials for finding in head.findings}
    return [
        replace(head, status="absent", rule="cue", cue=denials[0].cue)
        if head.status == "present"
        and colon - _FAR <= head.end <= colon
        and head.findings
        and denied.issuperset(finding[:2] for finding in head.findings)
        else head
        for head in heads
    ]
