"""docs/reasons.md names every reason for which something is set aside, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from fvlm_data.identity import forgotten
from fvlm_data.ingest.dicom.image_types import OUT_OF_SCOPE_TYPES
from fvlm_data.ingest.discovery.found_file import PROBLEMS
from fvlm_data.isolation.limits import REASONS
from fvlm_data.segment.plausibility.expected import load_expected

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reasons.md"
CODE = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
PLACES = {
    "Fault": 0, "Unread": 0, "UnreadError": 0, "UnreadableError": 0, "SegmentError": 0,
    "_fault": 0, "Aside": 1, "Reject": 1, "reject": 2, "faulty": 1, "_refusal": 1,
}  # fmt: skip
"""Where a reason stands among the arguments of what sets aside."""

NOT_SET_ASIDE = {"not_decoded"}
"""Faults that only mean that an image was not looked at."""


def in_the_code() -> Iterator[str]:
    """Reasons that are written out where something is set aside."""
    for path in sorted((ROOT / "fvlm_data").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            told = [one.value for one in node.keywords if one.arg == "reason"]
            if name in PLACES and len(node.args) > PLACES[name]:
                told.append(node.args[PLACES[name]])
            for one in told:
                if isinstance(one, ast.Constant) and re.fullmatch(CODE, str(one.value)):
                    yield str(one.value)


def on_the_page() -> set[str]:
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`(\w+)`", row)}


def test_every_reason_has_a_row():
    policy = load_expected().policy
    known = {*in_the_code(), *PROBLEMS, *OUT_OF_SCOPE_TYPES.values(), *REASONS}
    known |= {*forgotten.REASONS.values()}
    known |= {code for code, action in policy.items() if action == "exclude"}
    assert len(known) > 130
    assert known - NOT_SET_ASIDE - on_the_page() == set()


def test_every_row_is_of_a_reason():
    written = {
        word
        for path in sorted((ROOT / "fvlm_data").rglob("*"))
        if path.suffix in (".py", ".yaml")
        for word in re.findall(r"\w+", path.read_text())
    }
    # composed where it is told: what is unreadable, and the status of a report
    composed = {"volume_grid", "mask_grid", "preliminary_report", "cancelled_report"}
    assert on_the_page() - composed - written == set()


def test_what_only_flags_is_named():
    flags = {code for code, action in load_expected().policy.items() if action != "exclude"}
    assert flags <= set(re.findall(r"`(\w+)`", PAGE.read_text()))
