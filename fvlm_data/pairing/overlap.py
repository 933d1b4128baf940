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
    codes = torch.tensor([places.setdefault(one, len(places)) for one in findings])
    sets = [expanded(one) for one in places]
    slots = sorted({slot for one in sets for slot in one})
    names = sorted({finding for finding, _ in slots})
    if not names:
        return torch.zeros(len(findings), len(findings))
    status_us = torch.tensor([[STATUS_CODES.get(one.get(s, ""), 0) for s in slots] for one in sets])
    owner_s = torch.tensor([names.index(finding) for finding, _ in slots])
    of_finding_sf = torch.nn.functional.one_hot(owner_s, len(names)).float()
    status_uf = torch.zeros(len(sets), len(names), dtype=torch.int64).scatter_reduce(
        1, owner_s.expand(len(sets), -1), status_us, "amax"
    )
    agreement = torch.tensor(AGREEMENT)
    same_uus = agreement[status_us[:, None], status_us[None, :]]
    either_uus = ((status_us[:, None] > 0) | (status_us[None, :] > 0)).float()
    sides_uuf = (same_uus @ of_finding_sf) / (either_uus @ of_finding_sf).clamp(min=1)
    same_uuf = (agreement[status_uf[:, None], status_uf[None, :]] + sides_uuf) / 2
    named_f = torch.tensor([float(name != OTHER_ABNORMALITY) for name in names])
    either_uu = ((status_uf[:, None] > 0) | (status_uf[None, :] > 0)).sum(2).clamp(min=1)
    overlap_uu = (same_uuf * named_f).sum(2) / either_uu
    return overlap_uu[codes][:, codes]
