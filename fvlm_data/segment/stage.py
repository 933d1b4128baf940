"""Stage `segment:<task>`: from volumes to label maps, their rows and what the image shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.backend import Backend, VolumeImage, made_backend
from fvlm_data.segment.checks import (
    classes_checked,
    image_remarks,
    look,
    mask_rows,
    volume_check,
)
from fvlm_data.segment.class_map import ClassMap, declared_classes
from fvlm_data.segment.fingerprint import MaskFingerprint, classes_key
from fvlm_data.segment.mask_files import (
    Naming,
    declared_maps,
    list_mask_files,
    mask_file,
    masks_folder,
)
from fvlm_data.segment.nifti import NiftiError, label_map_bytes, read_nifti
from fvlm_data.segment.plausibility.policy import rejected, sorted_out
from fvlm_data.segment.plausibility.whole import remarks_on
from fvlm_data.segment.precomputed import MaskGoneError, OfferedMask, Precomputed
from fvlm_data.segment.side_by_side import in_turn, side_by_side
from fvlm_data.store.declared import Outcome, Read, Reject, Stage, guarded, reject
from fvlm_data.store.sql import quoted
from schemas import VolumeCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.segment.config import SegmentConfig
    from fvlm_data.store.declared import Batch, Inputs
    from fvlm_data.vocabulary import Vocabulary

STAGE_VERSION = 6
HEADER = ("body_region_header", "contrast_header")
OF_THE_MACHINE = {"out_of_device_memory", "segmentation_time_limit"}
"""Reasons that say nothing of the volume: the next run tries it again."""


def segment_stage(
    config: SegmentConfig,
    vocabulary: Vocabulary,
    source_names: Naming = "token",
    *,
    checks: bool = True,
) -> Stage:
    """The stage of one segmentation task; run `discover_masks` before it.

    Several tasks may lie in one store: the row of volume_checks is that of the first in order
    (`_before`), and a stage without `checks` has none. A task keeps the label map that another
    backend has made for it. Volumes without a precomputed mask are not planned: they wait (see
    `waiting.volumes_without_mask`). A settled volume whose mask file is no longer offered stays
    as it is.
    """
    name = stage_name(config.task)
    decides = ("content_sha256", "affine_ras", "age_years", "sex", *HEADER)
    reads = [Read("volume", "volumes", "volume_id", decides, carries=("path",))]
    items, kept = _not_of_others(config), _segmented(config.task)
    if config.takes_masks:
        offered = f"t.kind = 'mask' AND t.source = {quoted(name)}"
        reads.append(
            Read("masks", "inputs", "item", ("fingerprint",), carries=("token",), where=offered)
        )
        items += f" AND volume_id IN (SELECT t.item FROM inputs t WHERE {offered})"
    return Stage(
        name=name,
        version=STAGE_VERSION,
        settings={**config.key_part(), "classes": classes_checked(vocabulary) if checks else []},
        tables=("masks", "volume_checks") if checks else ("masks",),
        items=items,
        make=partial(_make, config, vocabulary, source_names, checks),
        reads=tuple(reads),
        batch_size=config.batch_size,
        kept=kept,
        partition={"masks": {"task": config.task}},
        needs_vault=config.takes_masks,  # which lie where the vault says
    )


def check_masks(config: SegmentConfig, vocabulary: Vocabulary) -> None:
    """Check that the masks of a configuration can be listed and their classes read.

    Raises:
        InputError: the folder or manifest is missing or has not the expected form.
        ConfigError: a map of classes is neither known nor a file.
    """
    if config.takes_masks:
        list_mask_files(config, b"", "token")
        _class_maps(config, vocabulary)


def stage_name(task: str) -> str:
    """Name of a task's stage, as in the ledger."""
    return f"segment:{task}"


def mask_path(volume_id: str, task: str) -> str:
    """Path of a volume's label map in the store."""
    digits = volume_id.split("_", 1)[-1]
    return f"masks/{digits[:2]}/{volume_id}.{task}.nii.gz"


def segment_volume(
    volume: VolumeImage,
    item: str,
    backend: Backend,
    config: SegmentConfig,
    vocabulary: Vocabulary,
    *,
    checks: bool = True,
) -> Outcome:
    """Run a backend on one volume: its file, one row a class, and what the image shows.

    A label map with a remark that `config.policy` excludes is set aside. Without `checks` there is
    no row of volume_checks.
    """
    made = backend(volume)
    if isinstance(made, Reject):
        return Outcome(item, rejects=(made,), retry=made.reason in OF_THE_MACHINE)
    looked = look(volume, made)
    if not looked.measures:
        return reject(
            item,
            "fault",
            "empty_mask",
            f"{backend.name} found no class in the volume, expected at least one; look at the "
            "volume and its mask",
        )
    remarks = [*made.remarks, *remarks_on(volume, made, looked.measures, looked.runs)]
    remarks += image_remarks(volume, made, vocabulary, looked)
    faults, flags = sorted_out(remarks, config.policy)
    if faults:
        return Outcome(item, rejects=(rejected(faults, made.source_files),))
    path = mask_path(volume.volume_id, config.task)
    version = f"{backend.version}, {made.made_on}" if made.made_on else backend.version
    rows = mask_rows(volume, made, config.task, path, backend.name, version, looked)
    tables: dict[str, Sequence[Any]] = {"masks": rows}
    if checks:
        check = volume_check(volume, made, rows, vocabulary, looked, remarks=flags)
        tables["volume_checks"] = [check]
    return Outcome(item, tables, {path: label_map_bytes(made.labels, volume.affine_ras)})


def _not_of_others(config: SegmentConfig) -> str:
    """SQL of the volumes that have no label map of this task by another backend."""
    return (
        "SELECT volume_id AS item FROM volumes WHERE volume_id NOT IN (SELECT m.volume_id "
        f"FROM masks m WHERE m.task = {quoted(config.task)} "
        f"AND m.backend <> {quoted(config.backend)})"
    )


def _before(task: str, backend: str) -> tuple[bool, bool, str]:
    """Order of the tasks of a volume: density last, the main task first, else by name."""
    return (backend == "threshold", task != "total", task)


def _standing_check(batch: Batch, volume: str, config: SegmentConfig) -> VolumeCheck | None:
    """What stands in volume_checks if a task before this one has a label map of the volume.

    The row is then part of both tasks' content, so that neither takes it from the other.
    """
    others = batch.standing("masks", "volume_id", [volume])
    mine = _before(config.task, config.backend)
    if not any(_before(row["task"], row["backend"]) < mine for row in others):
        return None
    rows = batch.standing("volume_checks", "volume_id", [volume])
    if not rows:
        return None
    row: dict[str, Any] = rows[0]
    lists = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    return VolumeCheck(**{**row, **lists})


def _segmented(task: str) -> str:
    """SQL of the volumes with a label map: they stay even if their mask is no longer on offer."""
    return (
        "SELECT v.volume_id AS item FROM volumes v WHERE v.volume_id IN "
        f"(SELECT m.volume_id FROM masks m WHERE m.task = {quoted(task)}) OR v.volume_id IN "
        f"(SELECT l.item FROM ledger l WHERE l.stage = {quoted(stage_name(task))} "
        "AND l.outcome = 'accepted')"
    )


def _make(
    config: SegmentConfig,
    vocabulary: Vocabulary,
    source_names: Naming,
    checks: bool,
    batch: Batch,
) -> Iterator[Outcome]:
    backend_of = _backends(config, vocabulary, source_names, batch)
    threads = 1 if config.takes_masks else getattr(made_backend(config), "side_by_side", 1)
    batch = in_turn(batch) if threads > 1 else batch
    work = (
        partial(
            guarded,
            one.item,
            partial(_segment, batch, one, backend_of, config, vocabulary, checks),
        )
        for one in batch.inputs
    )
    yield from side_by_side(work, threads)


def _segment(
    batch: Batch,
    one: Inputs,
    backend_of: Callable[[Inputs], Backend],
    config: SegmentConfig,
    vocabulary: Vocabulary,
    checks: bool,
) -> Outcome:
    if not one.rows["volume"]:
        return _gone(one.item)
    (row,) = one.rows["volume"]
    content = batch.file(row["path"])
    try:
        image = read_nifti(content)
    except NiftiError as error:
        detail = f"the store's volume {error}; ingest its series anew"
        return Outcome(
            one.item, rejects=(Reject("fault", "volume_unreadable", detail),), retry=True
        )
    # the row's affine in float64; the NIfTI header holds float32 only
    affine_ras = np.array(row["affine_ras"], float).reshape(4, 4)
    patient = (row["age_years"], row["sex"])
    header = (row[name] for name in HEADER)
    volume = VolumeImage(one.item, image.data, affine_ras, *patient, *header)
    try:
        made = segment_volume(volume, one.item, backend_of(one), config, vocabulary, checks=checks)
    except MaskGoneError:
        return _gone(one.item)
    standing = _standing_check(batch, one.item, config) if checks else None
    return replace(made, rows={**made.rows, "volume_checks": [standing]}) if standing else made


def _backends(
    config: SegmentConfig, vocabulary: Vocabulary, source_names: Naming, batch: Batch
) -> Callable[[Inputs], Backend]:
    """What segments each volume of a batch."""
    if config.takes_masks:
        return _Offer.of(config, vocabulary, source_names, batch).backend
    model = made_backend(config)
    return lambda one: model


@dataclass(frozen=True, slots=True)
class _Offer:
    """The masks of a batch: their places by token, and class maps by their key."""

    config: SegmentConfig
    source_names: Naming
    secret: bytes
    paths: Mapping[str, str]
    class_maps: Mapping[str, ClassMap]

    @classmethod
    def of(
        cls, config: SegmentConfig, vocabulary: Vocabulary, source_names: Naming, batch: Batch
    ) -> _Offer:
        tokens = [row["token"] for one in batch.inputs for row in one.rows["masks"]]
        class_maps = {classes_key(found): found for found in _class_maps(config, vocabulary)}
        return cls(config, source_names, batch.secret, batch.paths(tokens), class_maps)

    def backend(self, one: Inputs) -> Precomputed:
        """The volume's masks, to be believed or not.

        Raises:
            MaskGoneError: there is none, or its place or classes are no longer known.
        """
        candidates = [self._candidate(row) for row in one.rows["masks"]]
        if not candidates:
            raise MaskGoneError
        return Precomputed({one.item: candidates}, self.config.grid_tolerance_voxels)

    def _candidate(self, row: Mapping[str, Any]) -> OfferedMask:
        told = MaskFingerprint.of(row["fingerprint"])
        relative = self.paths.get(row["token"])
        class_map = self.class_maps.get(told.classes)
        if relative is None or class_map is None:
            raise MaskGoneError
        mask = mask_file(self.config, relative, self.secret, self.source_names)
        # the link or file has changed since discovery: the next run looks again
        if (mask.fault.reason if mask.fault else "") != told.fault:
            raise MaskGoneError
        return OfferedMask(mask, class_map, told.sha256, told.volumes_named)


def _class_maps(config: SegmentConfig, vocabulary: Vocabulary) -> list[ClassMap]:
    """The class maps of all masks on offer, each read once."""
    return [
        declared_classes(declared, masks_folder(config), vocabulary)
        for declared in sorted(declared_maps(config))
    ]


def _gone(item: str) -> Outcome:
    detail = "the mask or volume went away while the run was under way; run again"
    return Outcome(item, rejects=(Reject("fault", "mask_missing", detail),), retry=True)
