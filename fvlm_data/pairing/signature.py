"""Signatures: what is said of an anatomy, as a set and as its 64-bit hash."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from fvlm_data.vocabulary import OTHER_ABNORMALITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    LobesOf = Callable[[Mapping[str, Any]], Sequence[str]]
    """Lobes that a row of table `findings` names."""

SIGNATURE_STATUSES = ("present", "uncertain", "historical")
"""Statuses that make an anatomy differ from a normal one; absent findings say nothing new."""

SIDES = ("left", "right")
SEVERITIES = ("mild", "moderate", "severe")


def finding_set(
    mentions: Iterable[Mapping[str, Any]], *, severity: bool = False, lobes: LobesOf | None = None
) -> tuple[str, ...]:
    """Canonical set of `finding|status|laterality`, sorted, from rows of table `findings`.

    Of several statuses of one finding on one side only the most certain stays (present before
    uncertain before historical), since impression and findings section say one thing twice.
    A mention without side is dropped where the same finding is given with one that is as certain;
    left and right alike become bilateral, so that both ways to say it are equal.

    With `severity` and `lobes` each member grows a field: `|severe`, of several the worst, and
    `|upper+lower`, all that are named; empty where nothing is.
    """
    sides: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for mention in mentions:
        if mention["status"] in SIGNATURE_STATUSES:
            side = mention["laterality"]
            # bilateral counts as both sides, so that "left and right" and "both" compare equal
            for one in SIDES if side == "bilateral" else (side or "",):
                sides[mention["finding"], one].append(mention)
    told = {name: _told(rows, severity=severity, lobes=lobes) for name, rows in sides.items()}
    findings = {finding for finding, _ in told}
    return tuple(sorted(m for finding in findings for m in _members(finding, told)))


def expanded(findings: Iterable[str]) -> dict[tuple[str, str], str]:
    """Status by (finding, rest of the member), bilateral ones on both sides.

    Raises:
        ValueError: a member is not `finding|status|laterality`, with or without more fields.
    """
    slots = {}
    for member in findings:
        finding, *rest = member.split("|")
        if len(rest) < 2 or rest[0] not in SIGNATURE_STATUSES:
            raise ValueError(f"finding set member {member!r}: expected finding|status|laterality")
        status, side, *more = rest
        for one in SIDES if side == "bilateral" else (side,):
            slots[finding, "|".join((one, *more))] = status
    return slots


def signature(findings: Iterable[str]) -> int:
    """64-bit hash (signed) of a finding set; 0 for the empty set.

    It depends on the set alone: not on order, shard, rank or vocabulary order.
    """
    members = sorted(set(findings))
    if not members:
        return 0
    digest = hashlib.sha256("\n".join(members).encode()).digest()
    # signed, since Delta Lake has no unsigned integers (decision 0001)
    return int.from_bytes(digest[:8], "big", signed=True)


def comparable(findings: Iterable[str]) -> bool:
    """Whether a set says what is wrong: an abnormality without a name may be any."""
    ids = {member.partition("|")[0] for member in findings}
    return bool(ids) and OTHER_ABNORMALITY not in ids


def _members(finding: str, told: Mapping[tuple[str, str], tuple[str, str]]) -> list[str]:
    """What is said of one finding, by side."""
    sided = {side: told[finding, side] for side in SIDES if (finding, side) in told}
    surest = min((_rank(status) for status, _ in sided.values()), default=len(SIGNATURE_STATUSES))
    if len(sided) == len(SIDES) and len(set(sided.values())) == 1:
        sided = {"bilateral": sided["left"]}
    # without a side it adds nothing unless it is more certain than the sided mentions
    if (finding, "") in told and _rank(told[finding, ""][0]) < surest:
        sided[""] = told[finding, ""]
    return [f"{finding}|{status}|{side}{more}" for side, (status, more) in sided.items()]


def _told(
    mentions: Iterable[Mapping[str, Any]], *, severity: bool, lobes: LobesOf | None
) -> tuple[str, str]:
    """Most certain status, and the fields that follow the side, of mentions of one finding."""
    rows = list(mentions)
    status = min((row["status"] for row in rows), key=_rank)
    surest = [row for row in rows if row["status"] == status]
    more = ""
    if severity:
        grades = [SEVERITIES.index(r["severity"]) for r in surest if r["severity"] in SEVERITIES]
        more += f"|{SEVERITIES[max(grades)] if grades else ''}"
    if lobes is not None:
        named = {part for row in surest for part in lobes(row)}
        more += f"|{'+'.join(sorted(named))}"
    return status, more


def _rank(status: str) -> int:
    """Place of a status, the most certain first."""
    return SIGNATURE_STATUSES.index(status)
