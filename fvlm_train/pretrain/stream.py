"""Samples in a random order without their list: shards drawn for an epoch, a few at a time.

At any moment the rows of `shards_at_once` shards are held, whatever the number of samples.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from fvlm_data.errors import InputError
from fvlm_train.pretrain.views import two_views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.shards.stream import Row, ShardStream
    from fvlm_train.config import TrainConfig

ORDER = 6
"""Stream of random numbers drawn from the seed, beside those of `data.order` and `views`."""


class Position(NamedTuple):
    """Where a stream stands: the next sample is number `place` of a group of shards of an epoch."""

    epoch: int = 0
    group: int = 0
    place: int = 0


BEGIN = Position()


class Placed(NamedTuple):
    """Two views (2, z, y, x) of a sample, and where the stream stands behind it."""

    sample_id: str
    views: torch.Tensor
    after: Position


def shards_sha256(stream: ShardStream) -> str:
    """A mark of the shards that a stream goes through."""
    return hashlib.sha256("\n".join(stream.shards).encode()).hexdigest()


def ordered_rows(
    stream: ShardStream, seed: int, at_once: int, begin: Position
) -> Iterator[tuple[Row, Position]]:
    """Rows without end, from `begin` on, each with the position behind it.

    Each epoch takes every sample once. What lies before `begin` in its epoch is not read.

    Raises:
        InputError: there is no sample in the whole split.
        StoreError: an index cannot be read.
    """
    epoch, first, place = begin
    while True:
        rng = np.random.default_rng([seed, ORDER, epoch])
        shards = [stream.shards[number] for number in rng.permutation(len(stream.shards))]
        groups = [shards[start : start + at_once] for start in range(0, len(shards), at_once)]
        seen = first > 0 or place > 0
        for group in range(first, len(groups)):
            rows = [row for shard in groups[group] for row in stream.rows(shard)]
            order = np.random.default_rng([seed, ORDER, epoch, group]).permutation(len(rows))
            for number in range(place, len(rows)):
                seen = True
                yield rows[order[number]], Position(epoch, group, number + 1)
            place = 0
        if not seen:
            raise InputError(
                f"store {stream.store}: split {stream.split} has no sample to learn from; make "
                "some by `fvlm-data shard --unlabelled`, or set train.pretrain.samples to labelled"
            )
        epoch, first = epoch + 1, 0


class TwoViews(IterableDataset[Placed]):
    """A torch dataset without end: two augmented views of each sample, in a random order.

    Views hang on seed, epoch and sample id, the order on seed and the names of the shards: on
    neither the number of a DataLoader's workers (`batch_size=None`), nor where it resumes.
    """

    def __init__(self, stream: ShardStream, config: TrainConfig, begin: Position = BEGIN) -> None:
        """`config` is the section `train`, of which `pretrain.views` and `seed` decide."""
        self._stream, self._config, self._begin = stream, config, begin

    def __iter__(self) -> Iterator[Placed]:
        """Samples from the begin on; a worker makes its share of them, in turn."""
        told: Any = get_worker_info()
        number, workers = (0, 1) if told is None else (told.id, told.num_workers)
        pretrain, seed = self._config.pretrain, self._config.seed
        rows = ordered_rows(self._stream, seed, pretrain.shards_at_once, self._begin)
        crop_zyx = pretrain.views.crop_zyx or self._config.model.image.window_zyx
        for count, (row, after) in enumerate(rows):
            if count % workers == number:
                views = two_views(
                    self._stream,
                    row,
                    crop_zyx,
                    self._config.window_hu,
                    pretrain.views,
                    seed,
                    after.epoch,
                )
                yield Placed(row["sample_id"], torch.from_numpy(views), after)
