"""Which samples a run learned from: RUN/data.json, a part for each start with other ones.

A trainer opens the indexes of the shards once and reads what they named then, whatever a curation
writes meanwhile; this file says which state of the store that was.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from fvlm_train.data.windows import SampleSource

DATA = "data.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The samples that a run learned from as of step `from_step`.

    `content` is one hash of all that training reads of them (`data.content`), `shards` a hash of
    the shards that hold them. `samples_version` is the version of the store's table `samples` while
    the indexes were read; None where there is no such table, or runs kept changing it. `restricted`
    samples were left out: they may not be used for `purpose`, or where none was named for any.
    """

    from_step: int
    samples: int
    content: str
    shards: str
    samples_version: int | None
    purpose: str | None = None
    restricted: int = 0


def snapshot(source: SampleSource, digests: Tensor, from_step: int) -> Snapshot:
    """What `source` holds; `digests` are those of its samples (`data.content`)."""
    rows = source.rows
    shards = sorted(set(rows["shard"].to_pylist())) if "shard" in rows.column_names else []
    return Snapshot(
        from_step=from_step,
        samples=len(source),
        content=hashlib.sha256(digests.numpy().tobytes()).hexdigest(),
        shards=hashlib.sha256("\n".join(shards).encode()).hexdigest(),
        # a source that is no store has no version
        samples_version=getattr(source, "samples_version", None),
        purpose=getattr(source, "purpose", None),
        restricted=getattr(source, "restricted", 0),
    )


def snapshots(run: Path) -> list[Snapshot]:
    """The parts of a run, in order; none of a run that has not begun or is older than the file.

    Raises:
        InputError: the file is damaged.
    """
    path = run / DATA
    if not path.is_file():
        return []
    try:
        return [Snapshot(**part) for part in json.loads(path.read_text(encoding="utf-8"))["parts"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"run {run}: {DATA} is damaged, expected what `fvlm-train` wrote; remove it, the "
            "checkpoint knows the samples too"
        ) from error


def with_part(parts: list[Snapshot], new: Snapshot) -> list[Snapshot]:
    """The parts after a start with `new`: one that differs in nothing but its step is no new one.

    Parts of steps that the run has gone back behind are dropped.
    """
    kept = [part for part in parts if part.from_step < new.from_step]
    if kept and replace(kept[-1], from_step=new.from_step) == new:
        return kept
    return [*kept, new]


def as_json(parts: list[Snapshot]) -> dict[str, list[dict[str, object]]]:
    """What RUN/data.json holds."""
    return {"parts": [asdict(part) for part in parts]}
