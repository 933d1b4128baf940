"""Stage `segment:<task>`: from volumes to label maps, their rows and what the image shows."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.hashing import content_key
from fvlm_data.segment.backend import Backend, VolumeImage
from fvlm_data.segment.checks import classes_checked, mask_rows, volume_check
from fvlm_data.segment.class_map import ClassMap, declared_classes
from fvlm_data.segment.mask_files import MaskFile, Naming, list_mask_files, owners, owners_in_batch
from fvlm_data.segment.nifti import NiftiError, label_map_bytes, read_nifti
from fvlm_data.segment.precomputed import Candidate, Precomputed
from fvlm_data.segment.threshold import Threshold
from fvlm_data.store.stage import Context, Item, Outcome, Reject, Stage, guarded, reject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.segment.config import SegmentConfig
    from fvlm_data.vocabulary import Vocabulary

STAGE_VERSION = 1
VOLUME_COLUMNS = ("volume_id", "path", "affine_ras")


def segment_stage(
    config: SegmentConfig,
    vocabulary: Vocabulary,
    source_names: Naming = "token",
    *,
    checks: bool = True,
) -> Stage:
    """The stage of one segmentation task.

    With several tasks in one store only one may own the table volume_checks: pass `checks`
    False for the others. Volumes without a precomputed mask are not planned: they wait (see
    `volumes_without_mask`). A settled volume whose mask file is no longer offered stays as it
    is. A mask that names no volume is an item of its own, set aside under its file token.
    """

    def run(context: Context, items: Sequence[Item]) -> Iterator[Outcome]:
        ids = [item.id for item in items]
        rows = context.store.read_items("volumes", "volume_id", ids, VOLUME_COLUMNS)
        volumes = {row["volume_id"]: row for row in rows}
        ownerless: Mapping[str, MaskFile] = {}
        checked_by = vocabulary if checks else None
        backend: Backend
        if config.backend == "precomputed":
            offer = _read_offer(context, config, vocabulary, source_names, ids)
            ownerless = offer.ownerless
            context.vault.remember_files(offer.relative_paths())
            backend = Precomputed(offer.by_volume, config.grid_tolerance_voxels)
        else:
            backend = _model(config)
        for item in items:
            if item.id in volumes:
                work = partial(
                    _segment, context, item, volumes[item.id], backend, config.task, checked_by
                )
                yield guarded(item, work)
            else:
                yield _without_volume(item, ownerless.get(item.id))

    return Stage(
        stage_name(config.task),
        ("masks", "volume_checks") if checks else ("masks",),
        partial(_plan, config, vocabulary, source_names, checks),
        run,
        config.batch_size,
        partition={"masks": {"task": config.task}},
    )


def check_masks(config: SegmentConfig, vocabulary: Vocabulary) -> None:
    """Look whether the masks that a configuration names can be listed, and their classes read.

    Raises:
        InputError: the folder or manifest is missing or has not the expected form.
        ConfigError: a map of classes is neither known nor a file.
    """
    if config.backend == "precomputed":
        _class_maps(config, vocabulary, list_mask_files(config, b"", "token"))


def stage_name(task: str) -> str:
    """Name of the stage of a task, as it stands in the ledger."""
    return f"segment:{task}"


def volumes_without_mask(context: Context, task: str) -> set[str]:
    """Volumes that wait for a mask: neither settled nor set aside by the stage of `task`."""
    done: set[str] = set()
    for table in ("ledger", "quarantine"):
        rows = context.store.read(table, ["item"], [("stage", "=", stage_name(task))])
        done |= set(rows["item"].to_pylist())
    return set(context.store.read("volumes", ["volume_id"])["volume_id"].to_pylist()) - done


def mask_path(volume_id: str, task: str) -> str:
    """Where the label map of a volume stands in the store."""
    digits = volume_id.split("_", 1)[-1]
    return f"masks/{digits[:2]}/{volume_id}.{task}.nii.gz"


def segment_volume(
    volume: VolumeImage, item: str, backend: Backend, task: str, checked_by: Vocabulary | None
) -> Outcome:
    """Run a backend on one volume: its file, one row a class, and what the image shows.

    Without a vocabulary to check it by there is no row of volume_checks.
    """
    made = backend(volume)
    if isinstance(made, Reject):
        return Outcome(item, rejects=(made,))
    if not made.labels.any():
        return reject(
            item,
            "fault",
            "empty_mask",
            f"{backend.name} found no class in the volume, expected at least one; look at the "
            "volume and its mask",
        )
    path = mask_path(volume.volume_id, task)
    rows = mask_rows(volume, made, task, path, backend.name, backend.version)
    tables: dict[str, Sequence[Any]] = {"masks": rows}
    if checked_by is not None:
        tables["volume_checks"] = [volume_check(volume, made, rows, checked_by)]
    return Outcome(item, tables, {path: label_map_bytes(made.labels, volume.affine_ras)})


@dataclass(frozen=True, slots=True)
class _Offer:
    """Masks on offer: by the volume they name, and by token those that name none."""

    by_volume: Mapping[str, Sequence[Candidate]]
    ownerless: Mapping[str, MaskFile]

    def relative_paths(self) -> dict[str, str]:
        masks = [c.mask for candidates in self.by_volume.values() for c in candidates]
        return {mask.token: mask.relative for mask in (*masks, *self.ownerless.values())}


def _plan(
    config: SegmentConfig,
    vocabulary: Vocabulary,
    source_names: Naming,
    checks: bool,
    context: Context,
) -> list[Item]:
    words = classes_checked(vocabulary) if checks else []
    rows = context.store.read("volumes", ["volume_id", "content_sha256"]).to_pylist()
    content = {row["volume_id"]: row["content_sha256"] for row in rows}
    if config.backend != "precomputed":
        return [Item(volume, _key(config, words, content[volume])) for volume in sorted(content)]
    offer = _read_offer(context, config, vocabulary, source_names, None)
    items = [
        Item(volume, _key(config, words, content[volume], sorted(map(_candidate_key, candidates))))
        for volume, candidates in offer.by_volume.items()
    ]
    items += [Item(token, _key(config, words, "no volume")) for token in offer.ownerless]
    return items + _kept(context, config.task, content.keys() - offer.by_volume.keys())


def _kept(context: Context, task: str, volumes: Collection[str]) -> list[Item]:
    """Volumes that were segmented from a mask that is not offered now, under their old key."""
    rows = context.store.read(
        "ledger", ["item", "key", "outcome"], [("stage", "=", stage_name(task))]
    ).to_pylist()
    return [
        Item(row["item"], row["key"])
        for row in rows
        if row["outcome"] == "accepted" and row["item"] in volumes
    ]


def _read_offer(
    context: Context,
    config: SegmentConfig,
    vocabulary: Vocabulary,
    source_names: Naming,
    items: Collection[str] | None,
) -> _Offer:
    key = context.vault.key
    masks = list_mask_files(config, key, source_names)
    class_maps = _class_maps(config, vocabulary, masks)
    pairs = (
        owners(context.store, key, masks)
        if items is None
        else owners_in_batch(context.store, key, masks, items)
    )
    by_volume: dict[str, list[Candidate]] = defaultdict(list)
    ownerless: dict[str, MaskFile] = {}
    for mask, volumes in pairs:
        candidate = Candidate(mask, class_maps[mask.declared], len(volumes))
        for volume in volumes:
            by_volume[volume].append(candidate)
        if not volumes:
            ownerless[mask.token] = mask
    return _Offer(by_volume, ownerless)


def _class_maps(
    config: SegmentConfig, vocabulary: Vocabulary, masks: Sequence[MaskFile]
) -> dict[str, ClassMap]:
    return {
        declared: declared_classes(declared, _folder(config), vocabulary)
        for declared in sorted({mask.declared for mask in masks})
    }


def _folder(config: SegmentConfig) -> Path:
    """Where class maps of a manifest are looked up."""
    place = config.masks
    if place is None:
        raise ValueError("a precomputed configuration without masks cannot exist")
    return place if place.is_dir() else place.parent


def _key(config: SegmentConfig, *parts: Any) -> str:
    return content_key(STAGE_VERSION, config.key_part(), *parts)


def _candidate_key(candidate: Candidate) -> str:
    """Hash of all that decides what becomes of a mask: bytes, class names, faults."""
    mask = candidate.mask
    digest = ""
    if mask.fault is None:
        try:
            with mask.path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError:
            digest = "unreadable"
    classes = sorted(candidate.class_map.classes.items())
    fault = mask.fault.reason if mask.fault else ""
    return content_key(
        digest, candidate.class_map.class_system, classes, fault, candidate.volumes_named
    )


def _model(config: SegmentConfig) -> Backend:
    if config.backend == "threshold":
        return Threshold()
    from fvlm_data.segment.totalsegmentator import load_totalsegmentator

    return load_totalsegmentator(config)


def _segment(
    context: Context,
    item: Item,
    row: Mapping[str, Any],
    backend: Backend,
    task: str,
    checked_by: Vocabulary | None,
) -> Outcome:
    try:
        image = read_nifti(context.store.read_bytes(row["path"]))
    except NiftiError as error:
        detail = f"the store's volume {error}; ingest its series anew"
        return Outcome(item.id, rejects=(Reject("fault", "volume_unreadable", detail),), retry=True)
    affine_ras = np.array(row["affine_ras"], float).reshape(4, 4)
    volume = VolumeImage(item.id, image.data, affine_ras)
    return segment_volume(volume, item.id, backend, task, checked_by)


def _without_volume(item: Item, mask: MaskFile | None) -> Outcome:
    if mask is None:
        detail = "the mask or volume went away while the run was under way; run again"
        return Outcome(item.id, rejects=(Reject("fault", "mask_missing", detail),), retry=True)
    return reject(
        item.id,
        "fault",
        "mask_without_volume",
        "the mask's name is no volume_id, SeriesInstanceUID or source file name of a volume in "
        "the store; ingest its volume, or name it in a manifest",
        (item.id,),
    )
