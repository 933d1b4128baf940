"""How many stored reports may still hold an identity: a rate with its interval, never a text."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from fvlm_data.inspect.identity_detector import Detector
    from fvlm_data.store.tables import Store

EXAMPLES = 5
_Z = 1.959964
"""Of a normal distribution, for 95 %."""


@dataclass(slots=True)
class IdentityAudit:
    """What a sample of reports holds; `reports` by kind, `examples` are report ids by kind."""

    sampled: int
    stored: int
    suspicious: int = 0
    reports: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def interval(self, found: int) -> tuple[float, float, float]:
        """Share of reports and its 95 % interval (Wilson), which is none of zero where none is."""
        return (found / self.sampled, *wilson(found, self.sampled))


def wilson(found: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of a share; `of` is at least 1."""
    share, square = found / of, _Z * _Z / of
    middle = share + square / 2
    spread = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of))
    low, high = (middle - spread) / (1 + square), (middle + spread) / (1 + square)
    return (0.0 if found == 0 else low), (1.0 if found == of else high)


def audit_identities(store: Store, detector: Detector, sample: int, seed: int) -> IdentityAudit:
    """Look at a random sample of the stored reports; the same `seed` gives the same sample.

    Raises:
        InputError: the store has no reports.
        StoreError: a table cannot be read.
    """
    ids = store.read("reports", ["report_id"])["report_id"].to_pylist()
    if not ids:
        raise InputError(f"store {store.url}: no report is stored; read some, then audit them")
    drawn = sorted(ids, key=lambda one: hashlib.sha256(f"{seed}:{one}".encode()).digest())[:sample]
    told = IdentityAudit(len(drawn), len(ids))
    for row in store.read_items("reports", "report_id", drawn):
        found = detector.counts(row["text"])
        told.suspicious += bool(found)
        for kind in found:
            told.reports[kind] += 1
            examples = told.examples.setdefault(kind, [])
            if len(examples) < EXAMPLES:
                examples.append(row["report_id"])
    return told
