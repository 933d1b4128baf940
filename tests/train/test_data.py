from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fvlm_train.data import CachedSource, TrainingBatches, training_item
from fvlm_train.testing import MemorySource, toy_sample, toy_source


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
    item = training_item(replace(sample, label_zyx=label), tiny(), np.random.default_rng(0))
    assert item.facts.intact == (True, False, False)
    assert item.tokens_an.any(axis=1).tolist() == [True, True, False]


def test_padding_does_not_cut(tiny: Any) -> None:
    sample = toy_sample(1, 0)
    label = np.zeros_like(sample.label_zyx)
    label[:, 0:4, 0:4] = 1
    item = training_item(
        replace(sample, label_zyx=label), tiny(crop_zyx=[32, 64, 64]), np.random.default_rng(0)
    )
    assert item.image_zyx.shape == (32, 64, 64)
    assert item.image_zyx[0, 0, 0] == -1150
    assert item.facts.intact[0]


def test_left_right_flip_moves_image_and_text_together(tiny: Any) -> None:
    sample = replace(toy_sample(1, 0), texts=("Cyst in the left lobe.",) * 3)
    config = tiny(flips={"x": 1.0}, loss={"policy": "reference"})
    item = training_item(sample, config, np.random.default_rng(0))
    assert np.array_equal(item.image_zyx, sample.image_zyx[:, :, ::-1])
    assert item.facts.texts[0] == "Cyst in the right lobe."


def test_anatomy_that_the_sample_lacks_has_no_state(tiny: Any) -> None:
    sample = toy_sample(1, 0)
    lacking = replace(
        sample,
        label_zyx=np.where(sample.label_zyx == 2, 0, sample.label_zyx),
        **{
            name: (getattr(sample, name)[0], getattr(sample, name)[2])
            for name in ("anatomies", "states", "signatures", "findings", "texts")
        },
    )
    facts = training_item(lacking, tiny(), np.random.default_rng(0)).facts
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
    assert len(cached._held) == 2
