"""Which samples make up a batch: a function of seed, epoch and position alone."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_train.config import TrainConfig

Array = np.ndarray[Any, Any]
ORDER, BALANCE = 1, 3
"""Streams of random numbers drawn from the seed; 2 is that of crops."""


class SampleOrder:
    """Every sample once per epoch, in an order drawn for each epoch; balanced by setting."""

    def __init__(self, rows: Any, config: TrainConfig) -> None:
        """`rows` is the index of a source (table `samples`)."""
        self._config = config
        self._count = int(rows.num_rows)
        self._shards: list[Array] | None = None
        if config.sampling.shards_at_once is not None:
            places = np.unique(rows["shard"].to_pylist(), return_inverse=True)[1]
            self._shards = [np.flatnonzero(places == one) for one in range(int(places.max()) + 1)]
        self._abnormal = (
            _by_finding(rows, config.anatomies) if config.sampling.abnormal_per_anatomy else []
        )
        self._members = [
            frozenset(i for pool in by.values() for i in pool) for by in self._abnormal
        ]
        self._last: tuple[int, Array] | None = None

    def batch(self, epoch: int, position: int) -> list[int]:
        """Samples of the batch at `position` of an epoch, over all ranks."""
        size = self._config.batch_size
        taken = self._epoch(epoch)[position * size : (position + 1) * size].tolist()
        return self._balanced(taken, epoch, position) if self._abnormal else taken

    def _epoch(self, epoch: int) -> Array:
        last = self._last  # one read: another thread may be in another epoch and replace it
        if last is None or last[0] != epoch:
            rng = np.random.default_rng([self._config.seed, ORDER, epoch])
            last = self._last = (epoch, self._permuted(rng))
        return last[1]

    def _permuted(self, rng: np.random.Generator) -> Array:
        if self._shards is None:
            return rng.permutation(self._count)
        at_once = self._config.sampling.shards_at_once or 1
        shards = [self._shards[number] for number in rng.permutation(len(self._shards))]
        groups = [shards[start : start + at_once] for start in range(0, len(shards), at_once)]
        return np.concatenate([rng.permutation(np.concatenate(group)) for group in groups])

    def _balanced(self, taken: list[int], epoch: int, position: int) -> list[int]:
        """The batch with samples exchanged until each anatomy is abnormal often enough.

        Rarest anatomy first; a sample leaves only where no anatomy then has too few.
        """
        # seeded by place, not by a running state: any rank or resumed run draws the same batch
        rng = np.random.default_rng([self._config.seed, BALANCE, epoch, position])
        wanted = self._config.sampling.abnormal_per_anatomy
        batch = list(taken)
        for anatomy in sorted(range(len(self._members)), key=lambda a: len(self._members[a])):
            while sum(one in self._members[anatomy] for one in batch) < wanted:
                coming = _drawn(self._abnormal[anatomy], batch, rng)
                leaving = self._spare(batch, wanted)
                if coming is None or leaving is None:
                    break
                batch[leaving] = coming
        return batch

    def _spare(self, batch: Sequence[int], wanted: int) -> int | None:
        """Place of the last sample that no anatomy needs."""
        counts = [sum(one in members for one in batch) for members in self._members]
        for place in reversed(range(len(batch))):
            needed = (
                batch[place] in members and count <= wanted
                for members, count in zip(self._members, counts, strict=True)
            )
            if not any(needed):
                return place
        return None


def _by_finding(rows: Any, anatomies: Sequence[str]) -> list[dict[str, list[int]]]:
    """For each anatomy, the samples in which it is abnormal, by finding ("" if none is named)."""
    found: list[dict[str, list[int]]] = [defaultdict(list) for _ in anatomies]
    at = {anatomy: number for number, anatomy in enumerate(anatomies)}
    columns = rows.select(["anatomies", "states", "labels"]).to_pylist()
    for index, row in enumerate(columns):
        for anatomy, state, labels in zip(*row.values(), strict=True):
            if anatomy in at and state == "abnormal":
                for label in labels or [""]:
                    found[at[anatomy]][label].append(index)
    return found


def _drawn(
    by_finding: dict[str, list[int]], batch: Sequence[int], rng: np.random.Generator
) -> int | None:
    """A sample that is not in the batch, findings drawn evenly; None: all are in it."""
    held = set(batch)
    for label in rng.permutation(sorted(by_finding)):
        free = [index for index in by_finding[str(label)] if index not in held]
        if free:
            return int(free[int(rng.integers(len(free)))])
    return None
