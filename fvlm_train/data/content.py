"""What a run learned from: one number for each sample, by which other data are told from the same.

Shapes: N samples.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DECIDING = (
    "sample_id",
    "study_id",
    "shape_zyx",
    "content_sha256",
    "anatomies",
    "states",
    "signatures",
    "findings",
    "labels",
    "texts",
    "boxes",
)
"""Columns of table `samples` that training reads; places of shards may change."""

DIGEST_BYTES = 8


def sample_digests(
    rows: Any, apart: Mapping[tuple[str, str], Collection[str]] | None = None
) -> Tensor:
    """Sorted digests (N,; int64) of the samples of an index: pixels, masks, texts and labels.

    `apart` names, by study and anatomy, the studies that review holds to differ there: they decide
    which pairs are learned as alike.
    """
    columns = [name for name in DECIDING if name in rows.column_names]
    held: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for (study, anatomy), others in (apart or {}).items():
        held[study][anatomy] = sorted(others)
    digests = []
    for row in rows.select(columns).to_pylist():
        pairs = held.get(row.get("study_id", ""))
        told = {**row, "apart": pairs} if pairs else row
        digests.append(int.from_bytes(_digest(told), "big", signed=True))
    return torch.tensor(sorted(digests), dtype=torch.int64)


def differing(before: Tensor, now: Tensor) -> tuple[int, int]:
    """Samples of `before` that are gone or changed, and samples of `now` that are new or changed.

    Both are results of `sample_digests`.
    """
    old, new = set(before.tolist()), set(now.tolist())
    return len(old - new), len(new - old)


def _digest(row: dict[str, Any]) -> bytes:
    text = json.dumps(row, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()
