from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fvlm_train.data.batches import CachedSource, TrainingBatches
from fvlm_train.data.crops import Crop, Item, read_crop
from fvlm_train.data.windows import box_around, padded, pooled, random_box
from fvlm_train.testing import MemorySource, toy_sample, toy_source


def whole_crop(sample: Any, config: Any, mirrored: tuple[int, ...] = ()) -> tuple[Any, Item]:
    """Image and item of the middle of a sample."""
    size = config.crop
    image = np.full(size, 77, sample.image_zyx.dtype)
    box = box_around((0, 0, 0, *sample.image_zyx.shape), sample.image_zyx.shape, size)
    crop = Crop(0, box, mirrored)
    return image, read_crop(MemorySource([sample]), crop, config, image, np.full(size, 9, np.uint8))


def test_every_sample_once_an_epoch_in_a_new_order(tiny: Any) -> None:
    batches = TrainingBatches(toy_source(17, 0), tiny(steps=None, epochs=3))
    assert len(batches) == 6
    epochs = [[i for step in (2 * e, 2 * e + 1) for i in batches.indexes(step)] for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 16
    assert epochs[0] != epochs[1]


def test_ranks_share_a_step(tiny: Any) -> None:
    source = toy_source(8, 0)
    alone = TrainingBatches(source, tiny())
    shares = [TrainingBatches(source, tiny(), rank, 2).indexes(0) for rank in (0, 1)]
    assert sorted(shares[0] + shares[1]) == sorted(alone.indexes(0))
    assert not set(shares[0]) & set(shares[1])


def test_a_batch_depends_on_nothing_but_seed_and_step(tiny: Any) -> None:
    config = tiny(crop_zyx=[16, 32, 32], flips={"z": 0.5, "y": 0.5})
    batches = TrainingBatches(toy_source(16, 0), config)
    later = pickle.loads(pickle.dumps(batches))[5]
    for step in range(5):
        batches[step]
    assert torch.equal(batches[5].image_bzyx, later.image_bzyx)
    assert torch.equal(batches[5].tokens_ban, later.tokens_ban)
    assert batches[5].facts == later.facts
    other = TrainingBatches(toy_source(16, 0), tiny(crop_zyx=[16, 32, 32], seed=43))[5]
    assert not torch.equal(other.image_bzyx, later.image_bzyx)


def test_stored_types_give_the_same_image(tiny: Any) -> None:
    sample = toy_sample(0, 0)
    byte = np.rint((sample.image_zyx.astype(float) + 1150) / 1500 * 255).astype(np.uint8)
    as_bytes = replace(sample, image_zyx=byte, hu_window=(-1150, 350))
    batches = [
        TrainingBatches(MemorySource([one] * 2), tiny(batch_size=2))[0]
        for one in (sample, as_bytes)
    ]
    scaled = [batch.scaled(torch.device("cpu")) for batch in batches]
    assert batches[1].image_bzyx.dtype == torch.uint8
    assert (scaled[0] - scaled[1]).abs().max() < 0.6 / 255
    assert 0 <= float(scaled[0].min()) <= float(scaled[0].max()) <= 1


def test_anatomy_cut_by_the_crop_is_not_intact(tiny: Any) -> None:
    sample = toy_sample(1, 0)
    label = np.zeros_like(sample.label_zyx)
    label[10:14, 20:24, 20:24] = 1
    label[10:14, 0:4, 0:4] = 2
    _, item = whole_crop(replace(sample, label_zyx=label), tiny())
    assert item.facts.intact == (True, False, False)
    assert item.tokens_an.any(axis=1).tolist() == [True, True, False]


def test_padding_does_not_cut(tiny: Any) -> None:
    sample = toy_sample(1, 0)
    label = np.zeros_like(sample.label_zyx)
    label[:, 0:4, 0:4] = 1
    image, item = whole_crop(replace(sample, label_zyx=label), tiny(crop_zyx=[32, 64, 64]))
    assert np.array_equal(image, padded(sample.image_zyx, (32, 64, 64), -1150))
    assert item.facts.intact[0]


def test_left_right_flip_moves_image_and_text_together(tiny: Any) -> None:
    sample = replace(toy_sample(1, 0), texts=("Cyst in the left lobe.",) * 3)
    config = tiny(flips={"x": 1.0}, loss={"policy": "reference"}, batch_size=2)
    batch = TrainingBatches(MemorySource([sample] * 2), config)[0]
    mirrored = torch.from_numpy(sample.image_zyx[:, :, ::-1].copy())
    assert torch.equal(batch.image_bzyx[0], mirrored)
    assert batch.facts[0].texts[0] == "Cyst in the right lobe."


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sets(st.integers(0, 2)),
    st.sampled_from([(16, 32, 32), (32, 48, 48), (40, 16, 64)]),
    st.integers(0, 2**32 - 1),
)
def test_a_crop_is_cut_padded_and_mirrored_with_its_tokens(
    tiny: Any, axes: set[int], size: tuple[int, int, int], seed: int
) -> None:
    sample = toy_sample(seed % 7, 0)
    boxes = []
    for value in (1, 2, 3):
        found = np.argwhere(sample.label_zyx == value)
        boxes.append((*found.min(0).tolist(), *(found.max(0) + 1).tolist()))
    sample = replace(sample, boxes=tuple(boxes))
    config = tiny(crop_zyx=list(size))
    box = random_box(sample.image_zyx.shape, size, np.random.default_rng(seed))
    image, scratch = np.full(size, 77, np.int16), np.full(size, 9, np.uint8)
    crop = Crop(0, box, tuple(sorted(axes)))
    item = read_crop(MemorySource([sample]), crop, config, image, scratch)
    part = tuple(slice(box[axis], box[axis + 3]) for axis in range(3))
    wanted = np.flip(padded(sample.image_zyx[part], size, -1150), sorted(axes))
    assert np.array_equal(image, wanted)
    label = np.flip(padded(sample.label_zyx[part], size, 0), sorted(axes))
    faces = [np.moveaxis(label, axis, 0)[end] for axis in range(3) for end in (0, -1)]
    for number, tokens in enumerate(item.tokens_an):
        mask = label == number + 1
        assert np.array_equal(tokens, pooled(mask, config.model.image.patch_zyx).reshape(-1))
        cut = any((face == number + 1).any() for face in faces)
        assert item.facts.intact[number] == (mask.any() and not cut)


def test_anatomy_that_the_sample_lacks_has_no_state(tiny: Any) -> None:
    sample = toy_sample(1, 0)
    lacking = replace(
        sample,
        label_zyx=np.where(sample.label_zyx == 2, 0, sample.label_zyx),
        **{
            name: (getattr(sample, name)[0], getattr(sample, name)[2])
            for name in ("anatomies", "states", "signatures", "findings", "texts", "boxes")
        },
    )
    facts = whole_crop(lacking, tiny())[1].facts
    assert facts.states == (sample.states[0], None, sample.states[2])
    assert facts.intact == (True, False, True)


def test_cache_gives_what_the_source_gives_and_keeps_its_bound() -> None:
    source = toy_source(3, 0)
    size = source.samples[0].image_zyx.nbytes + source.samples[0].label_zyx.nbytes
    cached = CachedSource(source, limit_bytes=size + 1)
    box = (1, 2, 3, 9, 10, 11)
    for _ in range(2):
        for index in range(3):
            for wanted in (None, box):
                ours, theirs = cached.read(index, wanted), source.read(index, wanted)
                assert np.array_equal(ours.image_zyx, theirs.image_zyx)
                assert np.array_equal(ours.label_zyx, theirs.label_zyx)
                assert ours.boxes == theirs.boxes
                out = (np.empty(ours.image_zyx.shape, np.int16), np.empty_like(ours.label_zyx))
                filled = cached.read(index, wanted, out)
                assert filled.image_zyx is out[0]
                assert np.array_equal(out[0], theirs.image_zyx)
                assert np.array_equal(out[1], theirs.label_zyx)
    assert len(cached._held) == 2
