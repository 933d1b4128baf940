"""From samples to training batches: the batch of a step depends on the seed and the step only.

Shapes: B batch (of one rank), A anatomy, N tokens; arrays are (z, y, x).
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fvlm_data.errors import StoreError
from fvlm_data.shards.sample import cropped
from fvlm_train.data.crops import Crop, Item, blank_item, read_crop, windowless_item
from fvlm_train.data.order import SampleOrder
from fvlm_train.data.whole import WholeOrgans
from fvlm_train.data.windows import box_around, random_box

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from fvlm_data.shards import Sample
    from fvlm_train.config import TrainConfig
    from fvlm_train.data.crops import Facts
    from fvlm_train.data.windows import Array, Box, SampleSource


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops of one rank's share of a step, images as stored; none for a windowless model.

    `organs_bzyx` (uint8) holds 1 + the number of each voxel's anatomy, else 0; None where the model
    does not read it. `measured_baf` are features of the organs of whole samples, NaN for those that
    a sample does not show; None where the model takes none.
    """

    image_bzyx: Tensor
    scale_b: Tensor
    offset_b: Tensor
    tokens_ban: Tensor
    facts: tuple[Facts, ...]
    organs_bzyx: Tensor | None = None
    measured_baf: Tensor | None = None

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from which a GPU fetches while it computes."""
        names = ("image_bzyx", "scale_b", "offset_b", "tokens_ban", "organs_bzyx", "measured_baf")
        tensors = {name: getattr(self, name) for name in names}
        return replace(self, **{n: t.pin_memory() for n, t in tensors.items() if t is not None})

    def scaled(self, device: torch.device) -> Tensor:
        """Images (B, z, y, x) in [0, 1] on `device`; the stored type travels."""
        scale, offset = self.scale_b.to(device), self.offset_b.to(device)
        # stored values are half or a quarter of the bytes of float32
        stored = self.image_bzyx.to(device, non_blocking=True)
        image = stored.to(torch.float32, copy=True)
        return image.mul_(scale[:, None, None, None]).add_(offset[:, None, None, None]).clamp_(0, 1)


class CachedSource:
    """A source that keeps decoded samples in memory up to a bound, then reads on.

    It may be used in threads.
    """

    def __init__(self, source: SampleSource, limit_bytes: int) -> None:
        """`limit_bytes` counts image and label arrays of this process."""
        self._source = source
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._held: dict[int, Sample] = {}
        self._lock = Lock()

    @property
    def rows(self) -> Any:
        """Index of the source."""
        return self._source.rows

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._source)

    def image_dtype(self, index: int) -> np.dtype[Any]:
        """As the source's."""
        return self._source.image_dtype(index)

    def read(
        self, index: int, box: Box | None = None, out: tuple[Array, Array] | None = None
    ) -> Sample:
        """As the source's; without `out`, a crop of a held sample shares its memory."""
        whole = self._held.get(index)
        if whole is None and self._held_bytes >= self._limit_bytes:
            return self._source.read(index, box, out)
        if whole is None:
            whole = self._source.read(index)
            with self._lock:
                if index not in self._held:  # else another thread has read it too
                    self._held[index] = whole
                    self._held_bytes += whole.image_zyx.nbytes + whole.label_zyx.nbytes
        sample = whole if box is None else cropped(whole, box)
        if out is None:
            return sample
        np.copyto(out[0], sample.image_zyx)
        np.copyto(out[1], sample.label_zyx)
        return replace(sample, image_zyx=out[0], label_zyx=out[1])


class TrainingBatches:
    """`batches[step]` is the batch of one rank at one step, the same in every run.

    Each epoch goes through the samples in an order drawn from seed and epoch; samples beyond
    the last full batch wait for the next epoch. Crops and flips are drawn from seed, epoch and
    sample, so that neither workers nor a resumed run change them.
    """

    def __init__(
        self,
        source: SampleSource,
        config: TrainConfig,
        rank: int = 0,
        world: int = 1,
        whole: WholeOrgans | None = None,
    ) -> None:
        """`config.batch_size` is shared by `world` ranks in equal parts.

        `whole` may bring what was measured of this source before.
        """
        self._source = source
        self._config = config
        self._rank, self._world = rank, world
        self._rows = source.rows
        self._shapes = source.rows["shape_zyx"].to_pylist()
        self._order = SampleOrder(source.rows, config)
        self._whole = None
        if config.model.organ.whole:
            self._whole = whole or WholeOrgans(source, config)
        self.steps_per_epoch = len(source) // config.batch_size

    def __len__(self) -> int:
        """Steps of the whole training."""
        return self._config.steps or self.steps_per_epoch * (self._config.epochs or 0)

    def __getitem__(self, step: int) -> Batch:
        """The batch of `step`, counted from 0 over all epochs.

        Raises:
            StoreError: a sample cannot be read, and `reading.damaged` is stop or none can.
        """
        epoch = step // self.steps_per_epoch
        crops = [self._crop(index, epoch) for index in self.indexes(step)]
        size_zyx = (0, 0, 0) if self._config.model.organ.windowless else self._config.crop
        image_bzyx = np.empty((len(crops), *size_zyx), self._dtype(crops))
        label_zyx = np.empty(self._config.crop, np.uint8)
        organs_bzyx = (
            np.zeros(image_bzyx.shape, np.uint8) if self._config.model.organ.seen else None
        )
        read = [
            self._read(
                crop, image_bzyx[n], label_zyx, None if organs_bzyx is None else organs_bzyx[n]
            )
            for n, crop in enumerate(crops)
        ]
        whole = [item for item in read if isinstance(item, Item)]
        if not whole:
            raise next(item for item in read if isinstance(item, StoreError))
        items = []
        for place, item in enumerate(read):
            if isinstance(item, StoreError):
                image_bzyx[place] = whole[0].intensity.air
                if organs_bzyx is not None:
                    organs_bzyx[place] = 0
                item = blank_item(whole[0], self._config, str(item))
            items.append(item)
        return collate(image_bzyx, items, organs_bzyx)

    def indexes(self, step: int) -> list[int]:
        """Samples of this rank at `step`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        # strided: every rank draws the same batch and takes its share
        return self._order.batch(epoch, position)[self._rank :: self._world]

    def _crop(self, index: int, epoch: int) -> Crop:
        rng = np.random.default_rng([self._config.seed, 2, epoch, index])
        box = self._box(index, rng)
        flips = self._config.flips
        drawn = rng.random(3) < (flips.z, flips.y, flips.x)
        return Crop(index, box, tuple(int(axis) for axis in np.flatnonzero(drawn)))

    def _dtype(self, crops: list[Crop]) -> np.dtype[Any]:
        """A type that holds the images of all crops."""
        found: list[Any] = []
        for crop in crops:
            try:
                found.append(self._source.image_dtype(crop.index))
            except StoreError:  # reading it will say why; int16 holds either stored type
                found.append(np.dtype(np.int16))
        return np.result_type(*found)

    def _read(
        self, crop: Crop, image_zyx: Array, label_zyx: Array, organs_zyx: Array | None
    ) -> Item | StoreError:
        try:
            whole = None if self._whole is None else self._whole.of(crop.index)
            if whole is not None and self._config.model.organ.windowless:
                return windowless_item(whole.sample, crop, self._config, whole.measured_af)
            measured_af = None if whole is None else whole.measured_af
            return read_crop(
                self._source, crop, self._config, image_zyx, label_zyx, organs_zyx, measured_af
            )
        except StoreError as error:
            if self._config.reading.damaged == "stop":
                raise
            return error

    def _box(self, index: int, rng: np.random.Generator) -> Box:
        z, y, x = self._shapes[index]
        share = self._config.sampling.centred_share
        if share and rng.random() < share:
            organ = self._organ(index, rng)
            if organ is not None:
                return box_around(organ, (z, y, x), self._config.crop)
        return random_box((z, y, x), self._config.crop, rng)

    def _organ(self, index: int, rng: np.random.Generator) -> Box | None:
        """Box of a trained anatomy of the sample, an abnormal one if there is any."""
        row = self._rows.slice(index, 1).select(["anatomies", "states", "boxes"]).to_pylist()[0]
        shown = [one for one in zip(*row.values(), strict=True) if one[0] in self._config.anatomies]
        chosen = [one for one in shown if one[1] == "abnormal"] or shown
        return tuple(chosen[int(rng.integers(len(chosen)))][2]) if chosen else None


def read_ahead(
    batches: TrainingBatches, start: int, threads: int, ahead: int, *, pinned: bool
) -> Iterator[Batch]:
    """The batches from step `start` on; `threads` prepare `ahead` of them each beforehand.

    Threads, not processes: reading and decoding release the GIL, and no image has to be copied
    from one process to another.
    """

    def prepared(step: int) -> Batch:
        return batches[step].pin_memory() if pinned else batches[step]

    if threads == 0:
        yield from map(prepared, range(start, len(batches)))
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="fvlm-read")
    waiting: deque[Future[Batch]] = deque()
    try:
        for step in range(start, len(batches)):
            waiting.append(pool.submit(prepared, step))
            if len(waiting) > threads * ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def collate(image_bzyx: Array, items: list[Item], organs_bzyx: Array | None = None) -> Batch:
    """Images and what is known of them as one batch."""
    measured = [item.measured_af for item in items if item.measured_af is not None]
    return Batch(
        image_bzyx=torch.from_numpy(image_bzyx),
        scale_b=torch.tensor([item.intensity.scale for item in items], dtype=torch.float32),
        offset_b=torch.tensor([item.intensity.offset for item in items], dtype=torch.float32),
        tokens_ban=torch.from_numpy(np.stack([item.tokens_an for item in items])),
        facts=tuple(item.facts for item in items),
        organs_bzyx=None if organs_bzyx is None else torch.from_numpy(organs_bzyx),
        measured_baf=torch.from_numpy(np.stack(measured)) if measured else None,
    )
