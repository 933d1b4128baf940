"""From samples to training batches: the batch of a step depends on the seed and the step only.

Shapes: B batch (of one rank), A anatomy, N tokens; arrays are (z, y, x).
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from fvlm_data.errors import StoreError
from fvlm_train.order import SampleOrder
from fvlm_train.texts import encoder_text, mirrored
from fvlm_train.windows import (
    Intensity,
    anatomy_bits,
    box_around,
    face_bits,
    intensity,
    padded,
    random_box,
    token_bits,
    unpacked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from fvlm_train.config import TrainConfig
    from fvlm_train.windows import Array, Box, Sample, SampleSource


@dataclass(frozen=True, slots=True)
class Facts:
    """What the report says of a sample, and which anatomies its window shows whole.

    All tuples align with the trained anatomies; `states` is None where there is no text.
    `texts` are compared, `encoder_texts` are read by BERT. `damaged` says why a sample that
    could not be read takes no part.
    """

    study_id: str
    intact: tuple[bool, ...]
    states: tuple[str | None, ...]
    signatures: tuple[int, ...]
    findings: tuple[frozenset[str], ...]
    texts: tuple[str, ...]
    encoder_texts: tuple[str, ...]
    damaged: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One crop: stored image, its intensity map, tokens (A, N) of each anatomy, and facts."""

    image_zyx: Array
    intensity: Intensity
    tokens_an: Array
    facts: Facts


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops of one rank's share of a step, images as stored."""

    image_bzyx: Tensor
    scale_b: Tensor
    offset_b: Tensor
    tokens_ban: Tensor
    facts: tuple[Facts, ...]

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from which a GPU fetches while it computes."""
        tensors = ("image_bzyx", "scale_b", "offset_b", "tokens_ban")
        return replace(self, **{name: getattr(self, name).pin_memory() for name in tensors})

    def scaled(self, device: torch.device) -> Tensor:
        """Images (B, z, y, x) in [0, 1] on `device`; the stored type travels."""
        scale, offset = self.scale_b.to(device), self.offset_b.to(device)
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
        self._held: dict[int, Any] = {}
        self._lock = Lock()

    @property
    def rows(self) -> Any:
        """Index of the source."""
        return self._source.rows

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._source)

    def read(self, index: int, box: Box | None = None) -> Sample:
        """As the source's; a crop of a held sample shares its memory."""
        whole: Any = self._held.get(index)
        if whole is None and self._held_bytes >= self._limit_bytes:
            return self._source.read(index, box)
        if whole is None:
            whole = self._source.read(index)
            with self._lock:
                if index not in self._held:  # else another thread has read it too
                    self._held[index] = whole
                    self._held_bytes += whole.image_zyx.nbytes + whole.label_zyx.nbytes
        if box is None:
            return cast("Sample", whole)
        z0, y0, x0, z1, y1, x1 = box
        part = (slice(z0, z1), slice(y0, y1), slice(x0, x1))
        cropped: Sample = replace(
            whole, image_zyx=whole.image_zyx[part], label_zyx=whole.label_zyx[part]
        )
        return cropped


class TrainingBatches:
    """`batches[step]` is the batch of one rank at one step, the same in every run.

    Each epoch goes through the samples in an order drawn from seed and epoch; samples beyond
    the last full batch wait for the next epoch. Crops and flips are drawn from seed, epoch and
    sample, so that neither workers nor a resumed run change them.
    """

    def __init__(
        self, source: SampleSource, config: TrainConfig, rank: int = 0, world: int = 1
    ) -> None:
        """`config.batch_size` is shared by `world` ranks in equal parts."""
        self._source = source
        self._config = config
        self._rank, self._world = rank, world
        self._rows = source.rows
        self._shapes = source.rows["shape_zyx"].to_pylist()
        self._order = SampleOrder(source.rows, config)
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
        read = [self._item(index, epoch) for index in self.indexes(step)]
        whole = [item for item in read if isinstance(item, Item)]
        if not whole:
            raise next(item for item in read if isinstance(item, StoreError))
        return collate(
            [
                item if isinstance(item, Item) else blank_item(whole[0], self._config, str(item))
                for item in read
            ]
        )

    def indexes(self, step: int) -> list[int]:
        """Samples of this rank at `step`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        return self._order.batch(epoch, position)[self._rank :: self._world]

    def _item(self, index: int, epoch: int) -> Item | StoreError:
        rng = np.random.default_rng([self._config.seed, 2, epoch, index])
        box = self._box(index, rng)
        try:
            sample = self._source.read(index, box)
        except StoreError as error:
            if self._config.reading.damaged == "stop":
                raise
            return error
        return training_item(sample, self._config, rng)

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


def training_item(sample: Sample, config: TrainConfig, rng: np.random.Generator) -> Item:
    """The crop of a sample, padded and mirrored, with its anatomies on the token grid."""
    mapping = intensity(sample.hu_window, config.window_hu)
    image_zyx = padded(sample.image_zyx, config.crop, mapping.air)
    label_zyx = padded(sample.label_zyx, config.crop, 0)
    drawn = rng.random(3) < (config.flips.z, config.flips.y, config.flips.x)
    axes = tuple(int(axis) for axis in np.flatnonzero(drawn))
    image_zyx, label_zyx = np.flip(image_zyx, axes), np.flip(label_zyx, axes)
    bits_zyx = anatomy_bits(label_zyx, [sample.label_values.get(a) for a in config.anatomies])
    tokens_an = unpacked(token_bits(bits_zyx, config.model.image.patch_zyx), len(config.anatomies))
    cut = face_bits(bits_zyx)
    intact = tuple(
        bool(tokens.any()) and not cut >> bit & 1 for bit, tokens in enumerate(tokens_an)
    )
    facts = facts_of(sample, config, intact, sides_exchanged=2 in axes)
    return Item(image_zyx, mapping, tokens_an, facts)


def facts_of(
    sample: Sample, config: TrainConfig, intact: tuple[bool, ...], *, sides_exchanged: bool
) -> Facts:
    """The sample's texts and states in the order of the trained anatomies."""
    place = {anatomy: number for number, anatomy in enumerate(sample.anatomies)}
    at = [place.get(anatomy) for anatomy in config.anatomies]
    texts = ["" if n is None else sample.texts[n] for n in at]
    if sides_exchanged:
        texts = [mirrored(text) for text in texts]
    return Facts(
        study_id=sample.study_id,
        intact=intact,
        states=tuple(None if n is None else sample.states[n] for n in at),
        signatures=tuple(0 if n is None else sample.signatures[n] for n in at),
        findings=tuple(frozenset() if n is None else sample.findings[n] for n in at),
        texts=tuple(texts),
        encoder_texts=tuple(
            encoder_text(text, anatomy, config.template)
            for text, anatomy in zip(texts, config.anatomies, strict=True)
        ),
    )


def read_ahead(
    batches: TrainingBatches, start: int, threads: int, ahead: int, *, pinned: bool
) -> Iterator[Batch]:
    """The batches from step `start` on; `threads` prepare `ahead` of them each beforehand.

    Threads, not processes: reading and decoding run without Python's lock, and no image is
    copied from one process to another.
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


def blank_item(like: Item, config: TrainConfig, why: str) -> Item:
    """Air of the shape of `like`, which shows no anatomy: it takes no part in any loss."""
    count = len(config.anatomies)
    facts = Facts(
        study_id="",
        intact=(False,) * count,
        states=(None,) * count,
        signatures=(0,) * count,
        findings=(frozenset(),) * count,
        texts=("",) * count,
        encoder_texts=tuple(encoder_text("", a, config.template) for a in config.anatomies),
        damaged=why,
    )
    return Item(
        np.full_like(like.image_zyx, like.intensity.air),
        like.intensity,
        np.zeros_like(like.tokens_an),
        facts,
    )


def collate(items: list[Item]) -> Batch:
    """Items of equal size as one batch."""
    return Batch(
        image_bzyx=torch.from_numpy(np.stack([item.image_zyx for item in items])),
        scale_b=torch.tensor([item.intensity.scale for item in items], dtype=torch.float32),
        offset_b=torch.tensor([item.intensity.offset for item in items], dtype=torch.float32),
        tokens_ban=torch.from_numpy(np.stack([item.tokens_an for item in items])),
        facts=tuple(item.facts for item in items),
    )
