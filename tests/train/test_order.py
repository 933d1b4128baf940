from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fvlm_data.errors import StoreError
from fvlm_train.data.batches import TrainingBatches, read_ahead
from fvlm_train.data.order import SampleOrder
from fvlm_train.data.windows import box_around
from fvlm_train.testing import MemorySource, toy_sample, toy_source
from fvlm_train.training.train import train


def rows_of(count: int, shards: int = 6, rare: tuple[int, ...] = (3, 17)) -> pa.Table:
    """Index rows: the kidney abnormal in `rare` only, the liver in every third sample."""
    return pa.table(
        {
            "shape_zyx": [[24, 48, 48]] * count,
            "shard": [f"sh_{n % shards}" for n in range(count)],
            "anatomies": [["liver", "kidney"]] * count,
            "states": [
                [
                    "abnormal" if n % 3 == 0 else "normal_stated",
                    "abnormal" if n in rare else "not_mentioned",
                ]
                for n in range(count)
            ],
            "labels": [[["liver_cyst"] if n % 3 == 0 else [], []] for n in range(count)],
        }
    )


def epoch_of(order: SampleOrder, epoch: int, batches: int) -> list[int]:
    return [index for position in range(batches) for index in order.batch(epoch, position)]


def test_shards_at_once_bounds_what_is_read_and_loses_no_sample(tiny: Any) -> None:
    rows = rows_of(48)
    order = SampleOrder(rows, tiny(sampling={"shards_at_once": 2}))
    epochs = [epoch_of(order, epoch, 6) for epoch in range(3)]
    shards = rows["shard"].to_pylist()
    for epoch in epochs:
        assert sorted(epoch) == list(range(48))
        for start in (0, 16, 32):  # two shards of eight samples
            assert len({shards[index] for index in epoch[start : start + 16]}) == 2
        assert epoch[:16] != sorted(epoch[:16])
    assert epochs[0] != epochs[1]
    assert epoch_of(SampleOrder(rows, tiny(sampling={"shards_at_once": 2})), 2, 6) == epochs[2]


def test_threads_in_two_epochs_do_not_mix_their_orders(tiny: Any) -> None:
    """At the border of epochs, one thread is in the next while another ends the last."""
    rows = rows_of(48)
    order, expected = SampleOrder(rows, tiny()), SampleOrder(rows, tiny()).batch(0, 2)

    class Looked(tuple[int, Any]):
        """What is kept of an epoch; when it is looked at, another thread goes on."""

        def __getitem__(self, place: Any) -> Any:
            if place == 0:
                order._last = None
                order.batch(1, 0)
            return super().__getitem__(place)

    order.batch(0, 1)
    assert order._last is not None
    order._last = Looked(order._last)
    assert order.batch(0, 2) == expected


def test_balanced_batches_hold_abnormal_samples_of_every_anatomy(tiny: Any) -> None:
    rows = rows_of(48)
    config = tiny(sampling={"abnormal_per_anatomy": 2})
    order = SampleOrder(rows, config)
    plain = SampleOrder(rows, tiny())
    states = rows["states"].to_pylist()
    kept = 0
    for position in range(6):
        batch = order.batch(0, position)
        assert len(batch) == len(set(batch)) == 8
        assert sum(states[i][0] == "abnormal" for i in batch) >= 2
        assert sum(states[i][1] == "abnormal" for i in batch) == 2  # there are but two
        kept += len(set(batch) & set(plain.batch(0, position)))
    assert kept >= 6 * 4
    assert SampleOrder(rows, config).batch(0, 5) == order.batch(0, 5)


def test_rare_findings_come_as_often_as_common_ones(tiny: Any) -> None:
    rows = rows_of(300, rare=()).to_pylist()
    for number, row in enumerate(rows):
        row["states"] = ["abnormal" if number % 10 == 0 else "normal_stated", "not_mentioned"]
        finding = "liver_cyst" if number else "liver_calcification"  # one sample has the rare one
        row["labels"] = [[finding] if number % 10 == 0 else [], []]
    config = tiny(sampling={"abnormal_per_anatomy": 1})
    order = SampleOrder(pa.Table.from_pylist(rows), config)
    plain = SampleOrder(pa.Table.from_pylist(rows), tiny())
    brought = [
        (set(order.batch(epoch, position)) - set(plain.batch(epoch, position)))
        for epoch in range(4)
        for position in range(37)
    ]
    new = [index for batch in brought for index in batch]
    assert len(new) > 30
    assert 0.25 < new.count(0) / len(new) < 0.75


def test_more_than_fits_leaves_the_batch_whole(tiny: Any) -> None:
    order = SampleOrder(rows_of(48), tiny(sampling={"abnormal_per_anatomy": 8}))
    batch = order.batch(0, 0)
    assert len(set(batch)) == 8


@pytest.mark.parametrize(
    ("organ", "expected"),
    [
        ((8, 0, 0, 12, 4, 4), (6, 0, 0, 12, 4, 4)),
        ((0, 0, 0, 2, 4, 4), (0, 0, 0, 6, 4, 4)),
        ((17, 0, 0, 20, 4, 4), (14, 0, 0, 20, 4, 4)),
    ],
)
def test_box_around_an_organ_by_hand(organ: Any, expected: Any) -> None:
    assert box_around(organ, (20, 4, 4), (6, 4, 4)) == expected


def test_centred_crops_show_an_abnormal_anatomy_whole(tiny: Any) -> None:
    samples = []
    for number in range(8):
        sample = toy_sample(number, 0)
        label = np.zeros_like(sample.label_zyx)
        label[18:22, 38:44, 2:8] = 2
        label[0:3, 0:4, 40:44] = 1
        boxes = ((0, 0, 40, 3, 4, 44), (18, 38, 2, 22, 44, 8), (0, 0, 0, 1, 1, 1))
        states = ("normal_stated", "abnormal", "normal_stated")
        samples.append(replace(sample, label_zyx=label, boxes=boxes, states=states))
    source = MemorySource(samples)
    over = {"crop_zyx": [8, 16, 16], "anatomies": ["liver", "kidney"]}
    centred = TrainingBatches(source, tiny(sampling={"centred_share": 1.0}, **over))
    anywhere = TrainingBatches(source, tiny(**over))
    assert all(facts.intact[1] for facts in centred[0].facts)
    assert not all(facts.intact[1] for facts in anywhere[0].facts)
    half = TrainingBatches(source, tiny(sampling={"centred_share": 0.5}, **over))
    shown = [facts.intact[1] for step in range(6) for facts in half[step].facts]
    assert 0.25 < np.mean(shown) < 0.9


class Damaged(MemorySource):
    """Samples of which some turn out damaged when they have been read halfway."""

    bad = frozenset({2, 5})

    def read(self, index: int, *wanted: Any) -> Any:
        sample = super().read(index, *wanted)
        if index in self.bad:
            raise StoreError(f"sample sample_{index:04d}: shard is damaged")
        return sample


def test_a_damaged_sample_stops_training_by_default(tiny: Any, tmp_path: Any) -> None:
    with pytest.raises(StoreError, match=r"sample_000[25]"):
        train(tiny(), Damaged(toy_source(8, 0).samples), tmp_path)


@pytest.mark.parametrize("threads", [0, 2])
def test_a_damaged_sample_is_skipped_by_setting_and_told(
    tiny: Any, tmp_path: Any, threads: int
) -> None:
    source = Damaged(toy_source(8, 0).samples)
    config = tiny(reading={"damaged": "skip"}, loader_workers=threads)
    batch = TrainingBatches(source, config)[0]
    told = [facts for facts in batch.facts if facts.damaged is not None]
    assert sorted(facts.damaged or "" for facts in told) == [
        f"sample sample_000{n}: shard is damaged" for n in (2, 5)
    ]
    assert all(not any(facts.intact) for facts in told)
    shown = batch.tokens_ban.any(dim=2).any(dim=1).tolist()
    assert shown == [facts.damaged is None for facts in batch.facts]
    air = (batch.image_bzyx == -1150).flatten(1).all(dim=1).tolist()
    assert air == [facts.damaged is not None for facts in batch.facts]
    summary = train(config, source, tmp_path)
    assert summary.damaged_reads == 2 * summary.steps
    assert summary.last_loss is not None
    assert '"damaged": ["sample sample_000' in (tmp_path / "log.jsonl").read_text()


def test_nothing_readable_stops_even_where_damage_is_skipped(tiny: Any) -> None:
    source = Damaged(toy_source(8, 0).samples)
    source.bad = frozenset(range(8))  # type: ignore[misc]
    with pytest.raises(StoreError, match="damaged"):
        TrainingBatches(source, tiny(reading={"damaged": "skip"}))[0]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_batches_read_ahead_come_in_order_from_any_step(tiny: Any, threads: int) -> None:
    batches = TrainingBatches(toy_source(16, 0), tiny(sampling={"abnormal_per_anatomy": 1}))
    found = list(read_ahead(batches, 2, threads, 2, pinned=False))
    assert len(found) == 4
    for step, batch in enumerate(found, start=2):
        assert batch.facts == batches[step].facts
        assert batch.image_bzyx.equal(batches[step].image_bzyx)


def test_an_error_while_reading_ahead_arrives(tiny: Any) -> None:
    batches = TrainingBatches(Damaged(toy_source(8, 0).samples), tiny())
    with pytest.raises(StoreError, match="sample_000"):
        list(read_ahead(batches, 0, 2, 2, pinned=False))
