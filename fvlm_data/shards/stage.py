"""The stage `shard`: from volumes, masks and texts to shards and rows of table `samples`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import schemas
from fvlm_data.errors import MachineError
from fvlm_data.identity.ids import keyed_id
from fvlm_data.shards import folder, inputs
from fvlm_data.shards.making import UnreadableError, make_sample
from fvlm_data.shards.writer import spool, write_shard
from fvlm_data.store.declared import Outcome, Reject, Stage, guarded, reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.writer import Laid, Spool
    from fvlm_data.store.declared import Batch, Inputs
    from fvlm_data.vocabulary import Vocabulary

STAGE_VERSION = 1


def shard_stage(config: ShardConfig, vocabulary: Vocabulary) -> Stage:
    """The stage that makes one sample of each volume with masks and texts.

    A batch is one shard, cut within a split by sample id: it is settled as a whole, so what is
    left after a kill is cut the same way again. Run `tidy_shards` after the stage.
    """
    return Stage(
        name=folder.STAGE,
        version=STAGE_VERSION,
        settings=inputs.settings(config, vocabulary),
        tables=("samples",),
        items=inputs.ITEMS,
        make=partial(_make, config, vocabulary),
        reads=inputs.reads(config),
        refs=inputs.REFS,
        batch_size=config.samples_per_shard,
        group="split",
        holders=f"SELECT {folder.TREE_SQL} AS tree, sample_id AS item FROM samples",
    )


def _make(config: ShardConfig, vocabulary: Vocabulary, batch: Batch) -> Iterator[Outcome]:
    """Prepare the samples one by one, then write each split's shard.

    A planned batch has one split; where a caller has cut batches otherwise there may be more,
    each with a shard of its own.
    """
    # by id, so that a shard's content does not depend on the order of planning
    ordered = sorted(batch.inputs, key=lambda one: one.item)
    with spool() as aside:
        laid: dict[str, Laid] = {}
        outcomes = [
            guarded(one.item, partial(_prepared, config, vocabulary, batch, one, aside, laid))
            for one in ordered
        ]
        keys = {one.item: one.key for one in ordered}
        rows = [outcome.rows["samples"][0] for outcome in outcomes if outcome.item in laid]
        trees, indexes = {}, {}
        placed: dict[str, schemas.Sample] = {}
        for split in sorted({row.split for row in rows}):
            members = [row for row in rows if row.split == split]
            shard = _shard_id(batch.secret, members, keys)
            target = aside.folder / f"{shard}.zarr"
            done = _written(target, shard, members, laid, config)
            placed.update({row.sample_id: row for row in done})
            trees[folder.group_path(split, shard)] = target
            table = schemas.TABLES["samples"].to_arrow(done)
            indexes[folder.index_path(split, shard)] = folder.index_bytes(table)
        notes = _notes(batch, outcomes, keys, placed)
        yield from _handed_over(outcomes, placed, trees, {**notes, **indexes})


def _prepared(
    config: ShardConfig,
    vocabulary: Vocabulary,
    batch: Batch,
    one: Inputs,
    aside: Spool,
    laid: dict[str, Laid],
) -> Outcome:
    """Prepare one sample and lay it aside; its row has no place in a shard yet."""
    known = inputs.sample_inputs(one)
    if known is None:
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
    try:
        made = make_sample(known, batch.file, config, vocabulary)
    except UnreadableError as error:
        return replace(reject(one.item, "fault", error.reason, str(error)), retry=True)
    if isinstance(made, Reject):
        return Outcome(one.item, rejects=(made,))
    laid[one.item] = aside.lay(made.prepared)
    return Outcome(one.item, rows={"samples": [made.row]})


def _shard_id(secret: bytes, rows: Sequence[schemas.Sample], keys: Mapping[str, str]) -> str:
    """Id of a shard, from its samples' ids, keys and contents.

    The arrays' own hashes make sure that one id never stands for two contents, even if an input
    was replaced between planning and running.
    """
    parts = [p for r in rows for p in (r.sample_id, keys[r.sample_id], r.content_sha256)]
    return keyed_id(secret, "sh", *parts)


def _written(
    target: Any,
    shard: str,
    rows: Sequence[schemas.Sample],
    laid: Mapping[str, Laid],
    config: ShardConfig,
) -> list[schemas.Sample]:
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
    batch: Batch,
    outcomes: Sequence[Outcome],
    keys: Mapping[str, str],
    placed: Mapping[str, schemas.Sample],
) -> dict[str, bytes]:
    """Notes that take the batch's samples out of the shards that hold them now.

    A sample that is held, or that another run has settled meanwhile under the same key, stays
    where it is. See the module `folder` for why.
    """
    stay = batch.settled() | {outcome.item for outcome in outcomes if outcome.held}
    name = keyed_id(batch.secret, "sh", *(part for one in keys.items() for part in one))
    moved: dict[str, list[str]] = {}
    for row in batch.standing("samples", "sample_id", keys):
        sample = placed.get(row["sample_id"])
        # an unchanged shard has its old id: no note, which would hide the sample there
        same = sample is not None and sample.shard == row["shard"]
        if row["sample_id"] not in stay and not same:
            note = folder.note_path(row["split"], row["shard"], name)
            moved.setdefault(note, []).append(row["sample_id"])
    return {note: folder.note_bytes(ids) for note, ids in moved.items()}


def _handed_over(
    outcomes: Sequence[Outcome],
    placed: Mapping[str, schemas.Sample],
    trees: Mapping[str, Any],
    derived_files: Mapping[str, bytes],
) -> Iterator[Outcome]:
    """The outcomes; groups go with the first, notes and then indexes with the last."""
    for number, outcome in enumerate(outcomes):
        row = placed.get(outcome.item)
        yield replace(
            outcome,
            rows={"samples": [row]} if row is not None else outcome.rows,
            # `settle` writes trees and files as outcomes come: arrays first, then notes, then
            # indexes, so that no reader finds an index without its arrays or a sample twice
            trees=trees if number == 0 else {},
            derived_files=derived_files if number == len(outcomes) - 1 else {},
        )
