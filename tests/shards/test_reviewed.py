"""What review says of studies, masks and pairs reaches shards, and leaves them again."""

from __future__ import annotations

from typing import Any

import numpy as np

from fvlm_data.review.decisions import take_in
from fvlm_data.review.standing import Chosen, set_applied
from fvlm_data.shards import ShardDataset
from fvlm_data.shards.apart import write_apart
from fvlm_data.shards.stage import shard_stage
from fvlm_data.store.planning import pending
from fvlm_data.vocabulary import Vocabulary
from tests.review.made import entry

EN = Vocabulary.load()


def judged(world: Any, *subjects: tuple[str, str]) -> None:
    """Have the subjects be wrong, applied."""
    made = [entry(kind, text, reason="seen") for kind, text in subjects]
    take_in(world.context, made, EN, lambda subject, told: None, "reader")
    set_applied(world.context, EN, Chosen(), applied=True)


def undone(world: Any) -> None:
    set_applied(world.context, EN, Chosen(), applied=False)


def contents(world: Any) -> dict[str, Any]:
    return {row["sample_id"]: row["content_sha256"] for row in world.samples().values()}


def test_a_store_without_decisions_has_the_keys_that_it_had(world: Any, small: Any):
    """Reads that review added make nothing anew where nothing is reviewed."""
    from dataclasses import replace

    world.add(1)
    stage = shard_stage(small, EN)
    rare = [read.name for read in stage.reads if read.rare]
    without = replace(stage, reads=tuple(read for read in stage.reads if not read.rare))
    assert rare == ["excluded", "distrusted"]
    before = pending(world.context, without).batches
    assert pending(world.context, stage).batches == before
    judged(world, ("mask", "v_01:liver"))
    (batch,) = pending(world.context, stage).batches
    assert batch[0].key != before[0][0].key


def test_a_study_and_a_mask_that_are_wrong_and_right_again(world: Any):
    ids = [world.add(number) for number in range(3)]
    assert world.run() == 3
    before, arrays = world.samples(), contents(world)
    judged(world, ("study", "st_00"), ("mask", "v_01:liver"))
    assert world.run() == 2
    assert set(world.samples()) == set(ids[1:])
    (aside,) = world.store.read("quarantine").to_pylist()
    assert (aside["kind"], aside["reason"], aside["item"]) == (
        "out_of_scope", "excluded_by_review", ids[0],
    )  # fmt: skip
    assert "(seen)" in aside["detail"]
    assert world.samples()[ids[1]]["anatomies"] == ["spleen"]
    assert world.samples()[ids[2]] == before[ids[2]]
    dataset = ShardDataset(world.store.url, "train")
    sample = dataset[dataset.rows["sample_id"].to_pylist().index(ids[1])]
    assert set(np.unique(sample.label_zyx)) == {0, sample.label_values["spleen"]}
    undone(world)
    assert world.run() == 2
    assert (world.samples(), contents(world)) == (before, arrays)
    assert world.store.count("quarantine") == 0
    assert world.run() == 0


def test_an_image_without_a_mask_that_is_right_gives_no_sample(world: Any):
    world.add(1)
    judged(world, ("mask", "v_01:liver"), ("mask", "v_01:spleen"))
    world.run()
    (aside,) = world.store.read("quarantine").to_pylist()
    assert aside["reason"] == "no_anatomy"
    assert "2 anatomies are without mask by review" in aside["detail"]


def test_pairs_that_differ_reach_the_trainer(world: Any):
    from fvlm_data.pairing.targets import targets

    ids = [world.add(number) for number in range(3)]
    world.run()
    judged(world, ("pair", "st_02:st_00:liver"))
    assert world.run() == 0  # no sample changes
    write_apart(world.context)
    dataset = ShardDataset(world.store.url, "train")
    samples = [dataset[dataset.rows["sample_id"].to_pylist().index(one)] for one in ids]
    assert [one.anatomies for one in samples] == [("liver", "spleen")] * 3
    nobody: frozenset[str] = frozenset()
    assert [one.apart for one in samples] == [
        (frozenset({"st_02"}), nobody),
        (nobody, nobody),
        (frozenset({"st_00"}), nobody),
    ]

    def entries(place: int, *, told: bool = True) -> Any:
        target = targets(
            [one.study_id for one in samples],
            [one.signatures[place] for one in samples],
            [one.findings[place] for one in samples],
            [one.texts[place] for one in samples],
            [one.states[place] for one in samples],
            "signature",
            apart=[one.apart[place] for one in samples] if told else None,
        )
        return (target > 0).int().tolist()

    everybody = [[1, 1, 1]] * 3
    assert entries(0, told=False) == everybody
    assert entries(0) == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    assert entries(1) == everybody
    undone(world)
    write_apart(world.context)
    assert ShardDataset(world.store.url, "train")[0].apart == (nobody, nobody)
