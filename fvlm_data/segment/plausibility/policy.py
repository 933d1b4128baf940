"""What is done with each remark: set the label map aside, flag it, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fvlm_data.segment.plausibility.expected import load_expected
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.segment.plausibility.remark import Remark

Action = Literal["exclude", "flag", "ignore"]
SHOWN = 4


def unknown_keys(policy: Mapping[str, Action]) -> list[str]:
    """Keys that are neither a code nor a flag of one structure (`spleen_volume_unusual`)."""
    codes = load_expected().policy
    return sorted(
        key
        for key in policy
        if key not in codes
        and not any(key.endswith(f"_{code}") or key.startswith(f"{code}_") for code in codes)
    )


def sorted_out(
    remarks: Iterable[Remark], policy: Mapping[str, Action]
) -> tuple[list[Remark], list[Remark]]:
    """Remarks that set the label map aside, and those that flag it; the others are dropped.

    A key that names the flag itself goes before one that names its code.
    """
    defaults = load_expected().policy
    faults, flags = [], []
    for remark in remarks:
        action = policy.get(remark.flag) or policy.get(remark.code) or defaults[remark.code]
        if action == "exclude":
            faults.append(remark)
        elif action == "flag":
            flags.append(remark)
    return faults, flags


def rejected(faults: Sequence[Remark], files: tuple[str, ...]) -> Reject:
    """Why a label map is set aside: by the first fault, with what was seen of all."""
    seen = "; ".join(f"{one.flag}: {one.seen}" for one in faults[:SHOWN])
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    codes = ", ".join(sorted({one.code for one in faults}))
    return Reject(
        "fault",
        faults[0].code,
        f"the label map does not fit its image: {seen}{more}; look at both, mend or replace the "
        f"mask; if it is right, set segment.policy for {codes} to flag",
        files,
    )
