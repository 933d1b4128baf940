"""How much two finding sets share, from 0 to 1.

Shapes: U distinct set, S slot (a finding on one side, bilateral on both), F finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.pairing.signature import expanded
from fvlm_data.vocabulary import OTHER_ABNORMALITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

STATUS_CODES = {"historical": 1, "uncertain": 2, "present": 3}
"""Code of each status, the greater the more certain; 0: not said."""

AGREEMENT = (
    (0.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0),
    (0.0, 0.0, 1.0, 0.5),
    (0.0, 0.0, 0.5, 1.0),
)
"""By two codes: what was is not what is; what is supposed is half of what is stated."""


def overlaps(findings: Sequence[frozenset[str]]) -> Tensor:
    """Overlap of every two of B finding sets: float32 (B, B), symmetric.

    The mean, over the findings that either set names, of the agreement on each: half for the
    status (the most certain of any side), half for the share of its sides on which both say the
    same, so that the same finding on the other side counts half. 1 exactly where two sets are
    equal and all their findings have a name; left and right equal bilateral. Fields beyond the
    side (severity, lobe) count as sides do.
    """
    import torch

    places: dict[frozenset[str], int] = {}
    # each distinct set is compared once; the codes spread the result over the batch
    codes = torch.tensor([places.setdefault(one, len(places)) for one in findings])
    sets = [expanded(one) for one in places]
    slots = sorted({slot for one in sets for slot in one})
    status_us = torch.tensor([[STATUS_CODES.get(one.get(s, ""), 0) for s in slots] for one in sets])
    shared_uu = torch.zeros(len(sets), len(sets))
    named_by_uf = []
    for finding in dict.fromkeys(finding for finding, _ in slots):
        mine = [place for place, (name, _) in enumerate(slots) if name == finding]
        named_by_uf.append((status_us[:, mine] > 0).any(dim=1))
        if finding != OTHER_ABNORMALITY:
            shared_uu += _agreement(status_us[:, mine])
    if not named_by_uf:
        return torch.zeros(len(findings), len(findings))
    either_uu = _either(torch.stack(named_by_uf, dim=1))
    return (shared_uu / either_uu.clamp(min=1))[codes][:, codes]


def _agreement(status_us: Tensor) -> Tensor:
    """Agreement (U, U) on one finding, 0 to 1, from the status of its slots (U, S)."""
    import torch

    agreement = torch.tensor(AGREEMENT)
    surest_u = status_us.amax(dim=1)
    coded = torch.nn.functional.one_hot(status_us, len(AGREEMENT)).to(agreement)
    same_uu = (coded @ agreement).flatten(1) @ coded.flatten(1).T
    sides_uu = same_uu / _either(status_us > 0).clamp(min=1)
    return (agreement[surest_u][:, surest_u] + sides_uu) / 2


def _either(said_un: Tensor) -> Tensor:
    """How many of N things either of two sets says: (U, U)."""
    said = said_un.float()
    count_u = said.sum(dim=1)
    return count_u[:, None] + count_u[None, :] - said @ said.T
