"""Masks that come with images on the command line, and which of the images each is of.

Names say it, as in a store (docs/segmentation.md). Whoever gives images beside their masks has
often named neither after the other: then a mask is of the INPUT that is called as it is, and of one
volume and one mask the mask is the volume's. Grids are compared afterwards all the same.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import source_token
from fvlm_data.segment.mask_content import MASK_SUFFIXES, ends_with, stem
from fvlm_data.segment.mask_files import list_mask_files, mask_file
from fvlm_data.segment.owners import volumes_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.run.config import Config
    from fvlm_data.segment.config import SegmentConfig
    from fvlm_data.segment.mask_files import MaskFile
    from fvlm_data.store.declared import Context

SEG = ".dcm"
"""A DICOM segmentation says itself which series it is of."""


def is_mask_file(place: Path) -> bool:
    """Whether a place is one mask, and neither a folder of masks nor a manifest."""
    return place.is_file() and ends_with(place.name, MASK_SUFFIXES)


def with_own_masks(
    config: Config, context: Context, inputs: Mapping[str, Path], folder: Path
) -> Config:
    """The configuration with masks that no volume's name tells copied under that of their volume.

    `inputs` are the places of the images by the names of their sources, `folder` a new one for the
    copies. Where there is nothing to tell, the configuration stays as it is.

    Raises:
        InputError: the masks cannot be listed or copied.
    """
    segment = config.segment
    if segment.masks is None or not (segment.masks.is_dir() or is_mask_file(segment.masks)):
        return config
    masks = _masks(segment, context)
    owners = volumes_named(context, masks)
    naming = config.identity.source_names
    places = {source_token(context.vault.key, naming, one): path for one, path in inputs.items()}
    volumes = _volumes_of(context, places)
    own = _owned(masks, owners, volumes)
    if not own and segment.masks.is_dir():
        return config
    # what is named rightly comes along, so that two masks of one volume are still told
    named = [mask for mask, volume in zip(masks, owners, strict=True) if volume]
    copies = [(mask, mask.path.name) for mask in named if mask not in own]
    copies += [(mask, f"{volume}{_suffix(mask.path)}") for mask, volume in own.items()]
    copies = copies or [(mask, mask.path.name) for mask in masks]
    _copy(copies, folder)
    return config.model_copy(update={"segment": segment.model_copy(update={"masks": folder})})


def _masks(segment: SegmentConfig, context: Context) -> list[MaskFile]:
    key = context.vault.key
    if segment.masks is not None and segment.masks.is_file():
        return [mask_file(segment, segment.masks.name, key, "token")]
    return list_mask_files(segment, key, "token")


def _volumes_of(context: Context, inputs: Mapping[str, Path]) -> dict[str, list[str]]:
    """Volumes by the name of the INPUT that they come from; `inputs` are places by source token."""
    files = context.store.read("inputs", ["item", "source"], [("kind", "=", "file")]).to_pylist()
    source_of = {row["item"]: row["source"] for row in files}
    found: dict[str, list[str]] = defaultdict(list)
    for row in context.store.read("volumes", ["volume_id", "series_id"]).to_pylist():
        place = inputs.get(source_of.get(row["series_id"], ""))
        found[stem(place.name) if place else ""].append(row["volume_id"])
    return dict(found)


def _owned(
    masks: Sequence[MaskFile],
    owners: Sequence[tuple[str, ...]],
    volumes: Mapping[str, Sequence[str]],
) -> dict[MaskFile, str]:
    """The volume of each mask whose name tells none, where it can be only one."""
    taken = {volume for some in owners for volume in some}
    silent = [
        mask
        for mask, named in zip(masks, owners, strict=True)
        if not named and mask.fault is None and not ends_with(mask.path.name, (SEG,))
    ]
    every = [volume for some in volumes.values() for volume in some]
    if len(masks) == len(every) == len(silent) == 1:
        return {silent[0]: every[0]}
    return {
        mask: mine[0]
        for mask in silent
        if mask.name and len(mine := volumes.get(mask.name, ())) == 1 and mine[0] not in taken
    }


def _suffix(path: Path) -> str:
    return "" if path.is_dir() else path.name[len(stem(path.name)) :]


def _copy(copies: Iterable[tuple[MaskFile, str]], folder: Path) -> None:
    try:
        for number, (mask, name) in enumerate(copies):
            # masks of one name lie apart, so that both are still told
            place = folder / str(number) / name
            place.parent.mkdir(parents=True)
            if mask.path.is_dir():
                shutil.copytree(mask.path, place)
            else:
                shutil.copyfile(mask.path, place)
    except OSError as error:
        raise InputError(
            f"masks: cannot be copied into a temporary folder ({type(error).__name__}); name "
            "another by TMPDIR"
        ) from error
