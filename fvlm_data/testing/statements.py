"""What the checks share: reporting a broken statement, and what a detail may not hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from schemas.quarantine import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST_TELLING = 4
"""Fewest characters of a word that counts as an identity: shorter ones occur anywhere."""


def require(holds: bool, told: str) -> None:
    """Raise AssertionError with `told` unless it holds."""
    if not holds:
        raise AssertionError(told)


def check_reject(kind: str, reason: str, detail: str, identities: Iterable[str]) -> None:
    """A reason is a code of a known kind; its detail is a sentence without identities."""
    require(kind in KINDS, f"reject {reason}: kind {kind} found, expected one of {KINDS}")
    require(
        re.fullmatch(r"[a-z][a-z0-9_]*", reason) is not None,
        f"reject: reason {reason!r} found, expected a code in snake_case",
    )
    require(bool(detail.strip()), f"reject {reason}: its detail is empty, expected what to do")
    told = {one for one in identities if len(one) >= LEAST_TELLING and one in detail}
    require(not told, f"reject {reason}: its detail holds {len(told)} identities, expected none")
