"""A batch of a stage that makes samples becomes one shard a split; the same for every set.

A stage gives a function that prepares one sample. What is left, and is the same for all, stands
here: samples laid aside one by one, the group, notes that take samples out of old shards, indexes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import schemas
from fvlm_data.errors import MachineError
from fvlm_data.identity.ids import keyed_id
from fvlm_data.shards import folder
from fvlm_data.shards.making import MadeSample, UnreadableError
from fvlm_data.shards.writer import spool, write_shard
from fvlm_data.store.declared import Outcome, Reject, guarded, reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.sets import SampleSet
    from fvlm_data.shards.writer import Laid, Spool
    from fvlm_data.store.declared import Batch, Inputs

    Prepare = Callable[[Batch, Inputs], MadeSample | Reject | None]


def make_batch(
    of: SampleSet, config: ShardConfig, prepare: Prepare, batch: Batch
) -> Iterator[Outcome]:
    """Prepare the samples one by one, then write each split's shard.

    `prepare` gives a sample, why it is set aside, or None where what it is made from has left the
    tables. A planned batch has one split; where a caller has cut batches otherwise there may be
    more, each with a shard of its own.
    """
    # by id, so that a shard's content does not depend on the order of planning
    ordered = sorted(batch.inputs, key=lambda one: one.item)
    with spool() as aside:
        laid: dict[str, Laid] = {}
        outcomes = [
            guarded(one.item, partial(_prepared, of, prepare, batch, one, aside, laid))
            for one in ordered
        ]
        keys = {one.item: one.key for one in ordered}
        rows = [outcome.rows[of.table][0] for outcome in outcomes if outcome.item in laid]
        trees, indexes = {}, {}
        placed: dict[str, Any] = {}
        for split in sorted({row.split for row in rows}):
            members = [row for row in rows if row.split == split]
            shard = _shard_id(batch.secret, members, keys)
            target = aside.folder / f"{shard}.zarr"
            done = _written(target, shard, members, laid, config)
            placed.update({row.sample_id: row for row in done})
            trees[folder.group_path(split, shard, of)] = target
            table = schemas.TABLES[of.table].to_arrow(done)
            indexes[folder.index_path(split, shard, of)] = folder.index_bytes(table, of)
        notes = _notes(of, batch, outcomes, keys, placed)
        yield from _handed_over(of, outcomes, placed, trees, {**notes, **indexes})


def _prepared(
    of: SampleSet,
    prepare: Prepare,
    batch: Batch,
    one: Inputs,
    aside: Spool,
    laid: dict[str, Laid],
) -> Outcome:
    """Prepare one sample and lay it aside; its row has no place in a shard yet."""
    try:
        made = prepare(batch, one)
    except UnreadableError as error:
        return replace(reject(one.item, "fault", error.reason, str(error)), retry=True)
    if made is None:
        return replace(
            reject(
                one.item,
                "fault",
                "inputs_gone",
                f"Sample {one.item}: its volume, masks or texts have left the tables since the "
                "work was planned; the next run plans anew",
            ),
            retry=True,
        )
    if isinstance(made, Reject):
        return Outcome(one.item, rejects=(made,))
    laid[one.item] = aside.lay(made.prepared)
    return Outcome(one.item, rows={of.table: [made.row]})


def _shard_id(secret: bytes, rows: Sequence[Any], keys: Mapping[str, str]) -> str:
    """Id of a shard, from its samples' ids, keys and contents.

    The arrays' own hashes make sure that one id never stands for two contents, even if an input
    was replaced between planning and running.
    """
    parts = [p for r in rows for p in (r.sample_id, keys[r.sample_id], r.content_sha256)]
    return keyed_id(secret, "sh", *parts)


def _written(
    target: Any,
    shard: str,
    rows: Sequence[Any],
    laid: Mapping[str, Laid],
    config: ShardConfig,
) -> list[Any]:
    """Write a shard's group in the spool's folder; the rows with their places in it."""
    try:
        offsets = write_shard(target, [laid[row.sample_id] for row in rows], config)
    except OSError as error:
        raise MachineError(
            f"shard {shard}: the temporary folder {target.parent} cannot be written "
            f"({error.strerror}); free space there (or set TMPDIR) and run again: finished work "
            "is kept"
        ) from error
    return [
        replace(row, shard=shard, index=index, offset_z=offset)
        for index, (row, offset) in enumerate(zip(rows, offsets, strict=True))
    ]


def _notes(
    of: SampleSet,
    batch: Batch,
    outcomes: Sequence[Outcome],
    keys: Mapping[str, str],
    placed: Mapping[str, Any],
) -> dict[str, bytes]:
    """Notes that take the batch's samples out of the shards that hold them now.

    A sample that is held, or that another run has settled meanwhile under the same key, stays
    where it is. See the module `folder` for why.
    """
    stay = batch.settled() | {outcome.item for outcome in outcomes if outcome.held}
    name = keyed_id(batch.secret, "sh", *(part for one in keys.items() for part in one))
    moved: dict[str, list[str]] = {}
    for row in batch.standing(of.table, "sample_id", keys):
        sample = placed.get(row["sample_id"])
        # an unchanged shard has its old id: no note, which would hide the sample there
        same = sample is not None and sample.shard == row["shard"]
        if row["sample_id"] not in stay and not same:
            note = folder.note_path(row["split"], row["shard"], name, of)
            moved.setdefault(note, []).append(row["sample_id"])
    return {note: folder.note_bytes(ids) for note, ids in moved.items()}


def _handed_over(
    of: SampleSet,
    outcomes: Sequence[Outcome],
    placed: Mapping[str, Any],
    trees: Mapping[str, Any],
    derived_files: Mapping[str, bytes],
) -> Iterator[Outcome]:
    """The outcomes; groups go with the first, notes and then indexes with the last."""
    for number, outcome in enumerate(outcomes):
        row = placed.get(outcome.item)
        yield replace(
            outcome,
            rows={of.table: [row]} if row is not None else outcome.rows,
            # `settle` writes trees and files as outcomes come: arrays first, then notes, then
            # indexes, so that no reader finds an index without its arrays or a sample twice
            trees=trees if number == 0 else {},
            derived_files=derived_files if number == len(outcomes) - 1 else {},
        )
