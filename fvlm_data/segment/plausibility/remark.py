"""What a check has to say of a label map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing seen: `code` of the policy, `flag` as volume_checks has it, `seen` in words."""

    code: str
    flag: str
    seen: str


def of(code: str, structure: str, seen: str) -> Remark:
    """A remark on one structure."""
    return Remark(code, f"{structure}_{code}", seen)


def whole(code: str, seen: str) -> Remark:
    """A remark on the whole label map."""
    return Remark(code, code, seen)
