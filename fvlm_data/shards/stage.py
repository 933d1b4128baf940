"""The stage `shard`: from volumes, masks and texts to shards and rows of table `samples`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.hashing import array_sha256
from fvlm_data.identity.ids import keyed_id
from fvlm_data.segment.nifti import NiftiError
from fvlm_data.shards import faces, folder, inputs
from fvlm_data.shards.nifti_slabs import open_nifti
from fvlm_data.shards.preprocess import sampled
from fvlm_data.shards.source import LabelFile, read_labels
from fvlm_data.shards.target_grid import locate
from fvlm_data.shards.writer import spool, write_shard
from fvlm_data.store.stage import Outcome, Reject, Stage, guarded, reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.inputs import SampleInputs
    from fvlm_data.shards.nifti_slabs import NiftiSlabs
    from fvlm_data.shards.preprocess import PreparedSample
    from fvlm_data.shards.source import Labels
    from fvlm_data.shards.writer import Laid, Spool
    from fvlm_data.store.stage import Context, Item
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

NAME = "shard"
Array = np.ndarray[Any, Any]


class _UnreadableError(ValueError):
    """An input of a sample is missing or damaged; `reason` is the code, the text the detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def shard_stage(config: ShardConfig, vocabulary: Vocabulary) -> Stage:
    """The stage that makes one sample of each volume with masks and texts.

    A batch is one shard: run `tidy_shards` after the stage.
    """
    return Stage(
        name=NAME,
        tables=("samples",),
        plan=partial(inputs.plan, config, vocabulary),
        run=partial(_run, config, vocabulary),
        batch_size=config.samples_per_shard,
        grouped=partial(_grouped, config),
    )


def _grouped(config: ShardConfig, context: Context, items: Sequence[Item]) -> list[list[Item]]:
    """Cut items into shards: within a split, by sample id.

    A batch is settled as a whole, so what is left after a kill is cut the same way again.
    """
    places = inputs.sample_places(context)
    known = sorted(
        (item for item in items if item.id in places),
        key=lambda item: (places[item.id].split, item.id),
    )
    batches: list[list[Item]] = []
    for _, group in groupby(known, key=lambda item: places[item.id].split):
        members = list(group)
        size = config.samples_per_shard
        batches += [members[start : start + size] for start in range(0, len(members), size)]
    return batches


def _run(
    config: ShardConfig, vocabulary: Vocabulary, context: Context, items: Sequence[Item]
) -> Iterator[Outcome]:
    """Prepare the samples one by one, then write each split's shard.

    A batch of `_grouped` has one split; where a caller has cut batches otherwise there may be
    more, each with a shard of its own.
    """
    ordered = sorted(items, key=lambda item: item.id)
    known = inputs.sample_inputs(context, [item.id for item in ordered])
    with spool() as aside:
        outcomes: list[Outcome] = []
        laid: dict[str, Laid] = {}
        for item in ordered:
            sample = known.get(item.id)
            work = partial(_prepared, config, vocabulary, context, item, sample, aside, laid)
            outcomes.append(guarded(item, work))
        splits = sorted({known[sample_id].place.split for sample_id in laid})
        keys = {item.id: item.key for item in ordered}
        trees, files = {}, {}
        placed: dict[str, schemas.Sample] = {}
        for split in splits:
            rows = [o.rows["samples"][0] for o in outcomes if o.item in laid]
            members = [row for row in rows if row.split == split]
            shard = _shard_id(context, members, keys)
            target = aside.folder / f"{shard}.zarr"
            done = _written(target, shard, members, laid, config)
            placed.update({row.sample_id: row for row in done})
            trees[folder.group_path(split, shard)] = target
            table = schemas.TABLES["samples"].to_arrow(done)
            files[folder.index_path(split, shard)] = folder.index_bytes(table)
        notes = _notes(context, ordered, placed)
        yield from _handed_over(outcomes, placed, trees, {**notes, **files})


def _prepared(
    config: ShardConfig,
    vocabulary: Vocabulary,
    context: Context,
    item: Item,
    known: SampleInputs | None,
    aside: Spool,
    laid: dict[str, Laid],
) -> Outcome:
    """Prepare one sample and lay it aside; its row has no place in a shard yet."""
    if known is None or not known.masks or not known.texts:
        return replace(
            reject(
                item.id,
                "fault",
                "inputs_gone",
                f"Sample {item.id}: its volume, masks or texts have left the tables since the "
                "work was planned; the next run plans anew",
            ),
            retry=True,
        )
    try:
        prepared, labels, affine = _sampled(context.store, known, config, vocabulary)
    except _UnreadableError as error:
        return replace(reject(item.id, "fault", error.reason, str(error)), retry=True)
    visible = None if prepared is None else _face_left(known, labels, affine, prepared, config)
    if visible is not None:
        return Outcome(item.id, rejects=(visible,))
    row = _row(known, prepared, config) if prepared is not None else None
    if prepared is None or row is None:
        return reject(
            item.id,
            "out_of_scope",
            "no_anatomy",
            f"Sample {item.id}: its masks show {_shown(prepared)} of the "
            f"{len(config.anatomies)} anatomies of shard.anatomies, and none that its texts "
            f"speak of with a state of shard.keep_states ({len(known.texts)} texts); name an "
            "anatomy that the volume shows to keep it",
        )
    laid[item.id] = aside.lay(prepared)
    return Outcome(item.id, rows={"samples": [row]})


def _face_left(
    known: SampleInputs,
    labels: Labels,
    affine_ras: Array,
    prepared: PreparedSample,
    config: ShardConfig,
) -> Reject | None:
    """Refuse a sample whose part of the volume may still show a face."""
    if config.faces == "keep" or (config.faces == "remove" and labels.face_ijk is not None):
        return None
    by_mask = labels.head_ijk is not None and faces.within(labels.head_ijk, affine_ras, prepared)
    if not by_mask and known.volume["body_region_header"] not in faces.HEAD_REGIONS:
        return None
    seen = "its mask shows" if by_mask else "its header (BodyPartExamined) names"
    if config.faces == "refuse":
        detail = f"Sample {known.place.sample_id}: {seen} a head, and shard.faces is refuse"
        return Reject("out_of_scope", "face_visible", detail)
    detail = (
        f"Sample {known.place.sample_id}: {seen} a head, and no mask has the class face to remove "
        "it by; add a mask with it, or set shard.faces to keep where faces are gone already"
    )
    return Reject("fault", "face_not_segmented", detail)


def _sampled(
    store: Store, known: SampleInputs, config: ShardConfig, vocabulary: Vocabulary
) -> tuple[PreparedSample | None, Labels, Array]:
    """The sample (None: no anatomy is shown), its volume's labels and affine.

    Labels come first, slab by slab; of the image only the part is held that the sample needs.

    Raises:
        _UnreadableError: a file is missing, damaged or on another grid.
    """
    shape = tuple(known.volume["shape"])
    affine = np.array(known.volume["affine_ras"], np.float64).reshape(4, 4)
    paths = sorted({row["path"] for row in known.masks})
    image_path = known.volume["path"]
    with _naming("mask", ", ".join(paths)):
        files = [_label_file(store, path, shape, known) for path in paths]
        labels = read_labels(files, config.anatomies, vocabulary)
    with _naming("volume", image_path):
        voxels = _opened(store, image_path, "volume", shape)
        grid = locate(labels.merged_ijk, affine, config)
        if grid is None:
            return None, labels, affine
        slabs = voxels.slabs_of(grid.source_ijk)
        if config.faces == "remove" and labels.face_ijk is not None:
            removed = faces.rim(labels.face_ijk, known.volume["spacing_mm"])[grid.source_ijk]
            slabs = faces.without(removed, slabs)
        return sampled(slabs, labels.merged_ijk, grid, config), labels, affine


def _label_file(store: Store, path: str, shape: tuple[int, ...], known: SampleInputs) -> LabelFile:
    rows = [row for row in known.masks if row["path"] == path]
    return LabelFile(
        _opened(store, path, "mask", shape),
        {int(row["class_value"]): str(row["class_name"]) for row in rows},
        str(rows[0]["class_system"]),
    )


def _opened(store: Store, path: str, what: str, shape: tuple[int, ...]) -> NiftiSlabs:
    if not store.exists(path):
        raise _UnreadableError(
            f"{what}_missing", f"File {path} is not in the store; restore it and run again"
        )
    with _naming(what, path):
        voxels = open_nifti(store.read_bytes(path))
    if voxels.shape != shape:
        raise _UnreadableError(
            f"{what}_grid",
            f"File {path} has shape {voxels.shape}, expected {shape} as its volume's row says; "
            "restore it and run again",
        )
    return voxels


@contextmanager
def _naming(what: str, path: str) -> Iterator[None]:
    """Name the file in what is raised where it is damaged."""
    try:
        yield
    except NiftiError as error:
        raise _UnreadableError(
            f"{what}_unreadable", f"File {path} {error}; restore it and run again"
        ) from error


def _row(
    known: SampleInputs, prepared: PreparedSample, config: ShardConfig
) -> schemas.Sample | None:
    """The sample's row, its anatomies those that the mask shows and the texts speak of."""
    by_anatomy = {row["anatomy"]: row for row in known.texts}
    anatomies = [
        anatomy
        for anatomy in config.anatomies
        if anatomy in prepared.boxes
        and anatomy in by_anatomy
        and by_anatomy[anatomy]["state"] in config.keep_states
    ]
    if not anatomies:
        return None
    texts = [by_anatomy[anatomy] for anatomy in anatomies]
    place = known.place
    return schemas.Sample(
        sample_id=place.sample_id,
        patient_id=place.patient_id,
        study_id=place.study_id,
        volume_id=place.volume_id,
        split=place.split,
        shard="",
        index=0,
        offset_z=0,
        shape_zyx=tuple(prepared.image_zyx.shape),
        spacing_mm=prepared.spacing_mm,
        affine_ras=tuple(prepared.affine_ras.ravel().tolist()),
        content_sha256=array_sha256(prepared.image_zyx, prepared.label_zyx),
        anatomies=tuple(anatomies),
        states=tuple(row["state"] for row in texts),
        signatures=tuple(row["signature"] for row in texts),
        findings=tuple(tuple(row["findings"]) for row in texts),
        labels=tuple(tuple(row["labels"]) for row in texts),
        texts=tuple(row["text"] for row in texts),
        boxes=tuple(prepared.boxes[anatomy] for anatomy in anatomies),
        **{name: known.volume[name] for name in inputs.DEMOGRAPHICS},
    )


def _shard_id(context: Context, rows: Sequence[schemas.Sample], keys: Mapping[str, str]) -> str:
    """Id of a shard: of the samples that it holds, what they were made from and came to.

    The arrays' own hashes make sure that one id never stands for two contents, even where an
    input was replaced between planning and running.
    """
    parts = [p for r in rows for p in (r.sample_id, keys[r.sample_id], r.content_sha256)]
    return keyed_id(context.vault.key, "sh", *parts)


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
        raise StoreError(
            f"shard {shard}: the temporary folder {target.parent} cannot be written "
            f"({error.strerror}); free space there (or set TMPDIR) and run again: finished work "
            "is kept"
        ) from error
    return [
        replace(row, shard=shard, index=index, offset_z=offset)
        for index, (row, offset) in enumerate(zip(rows, offsets, strict=True))
    ]


def _notes(
    context: Context, items: Sequence[Item], placed: Mapping[str, schemas.Sample]
) -> dict[str, bytes]:
    """Notes that take the batch's samples out of the shards that hold them now.

    A sample that another run has settled meanwhile under the same key stays where that run put
    it. See the module `folder` for why.
    """
    keys = {item.id: item.key for item in items}
    ledger = context.store.read_items("ledger", "item", keys, ["stage", "item", "key"])
    settled = {
        row["item"] for row in ledger if row["stage"] == NAME and row["key"] == keys[row["item"]]
    }
    rows = context.store.read_items("samples", "sample_id", keys, ["sample_id", "shard", "split"])
    batch = keyed_id(context.vault.key, "sh", *(part for i in items for part in (i.id, i.key)))
    moved: dict[str, list[str]] = {}
    for row in rows:
        sample = placed.get(row["sample_id"])
        stays = sample is not None and sample.shard == row["shard"]
        if row["sample_id"] not in settled and not stays:
            note = folder.note_path(row["split"], row["shard"], batch)
            moved.setdefault(note, []).append(row["sample_id"])
    return {note: folder.note_bytes(ids) for note, ids in moved.items()}


def _handed_over(
    outcomes: Sequence[Outcome],
    placed: Mapping[str, schemas.Sample],
    trees: Mapping[str, Any],
    files: Mapping[str, bytes],
) -> Iterator[Outcome]:
    """The outcomes; groups go with the first, notes and then indexes with the last."""
    for number, outcome in enumerate(outcomes):
        row = placed.get(outcome.item)
        yield replace(
            outcome,
            rows={"samples": [row]} if row is not None else outcome.rows,
            trees=trees if number == 0 else {},
            files=files if number == len(outcomes) - 1 else {},
        )


def _shown(prepared: PreparedSample | None) -> int:
    return 0 if prepared is None else len(prepared.boxes)
