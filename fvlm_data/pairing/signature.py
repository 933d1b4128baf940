"""Signatures: what is said of an anatomy, as a set and as its 64-bit hash."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SIGNATURE_STATUSES = ("present", "uncertain", "historical")
"""Statuses that make an anatomy differ from a normal one; absent findings say nothing new."""


def finding_set(mentions: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Canonical set of `finding|status|laterality`, sorted, from rows of table `findings`.

    Of several statuses of one finding and side only the most certain stays (present before
    uncertain before historical), since impression and findings section say one thing twice.
    A mention without side is dropped where the same finding is given with one.
    """
    strongest: dict[tuple[str, str], int] = {}
    for mention in mentions:
        if mention["status"] not in SIGNATURE_STATUSES:
            continue
        name = (mention["finding"], mention["laterality"] or "")
        rank = SIGNATURE_STATUSES.index(mention["status"])
        strongest[name] = min(rank, strongest.get(name, rank))
    sided = {finding for finding, side in strongest if side}
    return tuple(
        sorted(
            f"{finding}|{SIGNATURE_STATUSES[rank]}|{side}"
            for (finding, side), rank in strongest.items()
            if side or finding not in sided
        )
    )


def signature(findings: Iterable[str]) -> int:
    """64-bit hash (signed) of a finding set; 0 for the empty set.

    It depends on the set alone: not on order, shard, rank or vocabulary order.
    """
    members = sorted(set(findings))
    if not members:
        return 0
    digest = hashlib.sha256("\n".join(members).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
