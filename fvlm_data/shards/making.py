"""One sample: from a volume, its masks and its study's texts to arrays and a row."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import schemas
from fvlm_data.hashing import array_sha256
from fvlm_data.segment.nifti import NiftiError
from fvlm_data.shards import faces, inputs
from fvlm_data.shards.nifti_slabs import open_nifti
from fvlm_data.shards.preprocess import sampled
from fvlm_data.shards.source import LabelFile, read_labels
from fvlm_data.shards.target_grid import locate
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.inputs import SampleInputs
    from fvlm_data.shards.nifti_slabs import NiftiSlabs
    from fvlm_data.shards.preprocess import PreparedSample
    from fvlm_data.shards.source import Heads, Labels
    from fvlm_data.shards.target_grid import TargetGrid
    from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]


class UnreadableError(ValueError):
    """An input of a sample cannot be read; `reason` is the code, the text the detail."""

    def __init__(self, reason: str, detail: str) -> None:
        """`reason` is a code of table quarantine."""
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class MadeSample:
    """A sample's arrays, and its row, which has no place in a shard yet."""

    prepared: PreparedSample
    row: schemas.Sample | schemas.UnlabelledSample


def make_sample(
    known: SampleInputs,
    file: Callable[[str], bytes],
    config: ShardConfig,
    vocabulary: Vocabulary,
) -> MadeSample | Reject:
    """Make one sample, or say why it is out of scope; `file` gives the bytes of a stored file.

    An anatomy whose mask is wrong by review is background.

    Raises:
        UnreadableError: a file cannot be decoded or is on another grid.
        DamagedError: a file is not what its stage wrote.
    """
    if known.excluded is not None:
        return excluded(known)
    prepared = make_arrays(known, file, config, vocabulary)
    if isinstance(prepared, Reject):
        return prepared
    row = _row(known, prepared, config) if prepared is not None else None
    if prepared is None or row is None:
        return Reject(
            "out_of_scope",
            "no_anatomy",
            f"Sample {known.sample_id}: its masks show {_shown(prepared)} of the "
            f"{len(config.anatomies)} anatomies of shard.anatomies, and none that its texts "
            f"speak of with a state of shard.keep_states ({len(known.texts)} texts"
            f"{_distrusted(known)}); name an anatomy that the volume shows to keep it",
        )
    return MadeSample(prepared, row)


def excluded(known: SampleInputs) -> Reject:
    """A sample whose study review excludes."""
    return Reject(
        "out_of_scope",
        "excluded_by_review",
        f"Sample {known.sample_id}: review excludes its study ({known.excluded}); "
        f"`fvlm-data review undo {known.study_id}` brings it back with the next run",
    )


def make_arrays(
    known: SampleInputs,
    file: Callable[[str], bytes],
    config: ShardConfig,
    vocabulary: Vocabulary,
) -> PreparedSample | Reject | None:
    """The arrays of one sample, whatever its texts; None where its masks show no anatomy.

    Raises:
        UnreadableError: a file cannot be decoded or is on another grid.
        DamagedError: a file is not what its stage wrote.
    """
    prepared, labels, affine = _sampled(known, file, config, vocabulary)
    visible = None
    if prepared is not None:
        visible = face_left(known, labels.heads, affine, prepared, config.faces)
    return prepared if visible is None else visible


def face_left(
    known: SampleInputs,
    heads: Heads,
    affine_ras: Array,
    prepared: PreparedSample,
    policy: Literal["remove", "refuse", "keep"],
) -> Reject | None:
    """Refuse a sample whose part of the volume may still show a face."""
    if policy == "keep" or (policy == "remove" and heads.face_ijk is not None):
        return None
    # a mask says where the head is; without one only the header can tell
    by_mask = heads.head_ijk is not None and faces.within(heads.head_ijk, affine_ras, prepared)
    if not by_mask and known.volume["body_region_header"] not in faces.HEAD_REGIONS:
        return None
    seen = "its mask shows" if by_mask else "its header (BodyPartExamined) names"
    if policy == "refuse":
        detail = f"Sample {known.sample_id}: {seen} a head, and shard.faces is refuse"
        return Reject("out_of_scope", "face_visible", detail)
    detail = (
        f"Sample {known.sample_id}: {seen} a head, and no mask has the class face to remove "
        "it by; add a mask with it, or set shard.faces to keep where faces are gone already"
    )
    return Reject("fault", "face_not_segmented", detail)


def _sampled(
    known: SampleInputs,
    file: Callable[[str], bytes],
    config: ShardConfig,
    vocabulary: Vocabulary,
) -> tuple[PreparedSample | None, Labels, Array]:
    """The sample (None: no anatomy is shown), its volume's labels and affine.

    Labels are read first, slab by slab; of the image, only the part that the sample needs is kept.

    Raises:
        UnreadableError: a file cannot be decoded or is on another grid.
    """
    shape = tuple(known.volume["shape"])
    affine = np.array(known.volume["affine_ras"], np.float64).reshape(4, 4)
    paths = sorted({row["path"] for row in known.masks})
    image_path = known.volume["path"]
    files = [label_file(file(path), path, shape, known) for path in paths]
    with naming("mask", ", ".join(paths)):
        labels = read_labels(files, config.anatomies, vocabulary)
    for anatomy in known.distrusted:
        labels.merged_ijk[labels.merged_ijk == 1 + config.anatomies.index(anatomy)] = 0
    voxels = opened(file(image_path), image_path, "volume", shape)
    with naming("volume", image_path):
        grid = locate(labels.merged_ijk, affine, config)
        if grid is None:
            return None, labels, affine
        slabs = voxels.slabs_of(grid.source_ijk)
        if config.faces == "remove":
            slabs = without_face(slabs, labels.heads, known.volume["spacing_mm"], grid)
        return sampled(slabs, labels.merged_ijk, grid, config), labels, affine


def without_face(
    slabs: Iterator[Array], heads: Heads, spacing_mm: Sequence[float], grid: TargetGrid
) -> Iterator[Array]:
    """Slabs of the part `grid.source_ijk` (HU), with a face that label maps show made air."""
    if heads.face_ijk is None:
        return slabs
    removed = faces.rim(heads.face_ijk, spacing_mm)[grid.source_ijk]
    return faces.without(removed, slabs)


def label_file(content: bytes, path: str, shape: tuple[int, ...], known: SampleInputs) -> LabelFile:
    """A label map of a sample's masks.

    Raises:
        UnreadableError: it cannot be decoded or has another shape.
    """
    rows = [row for row in known.masks if row["path"] == path]
    return LabelFile(
        opened(content, path, "mask", shape),
        {int(row["class_value"]): str(row["class_name"]) for row in rows},
        str(rows[0]["class_system"]),
    )


def opened(content: bytes, path: str, what: str, shape: tuple[int, ...]) -> NiftiSlabs:
    """A file of the store, `what` for volume or mask; raises UnreadableError as `label_file`."""
    with naming(what, path):
        voxels = open_nifti(content)
    if voxels.shape != shape:
        raise UnreadableError(
            f"{what}_grid",
            f"File {path} has shape {voxels.shape}, expected {shape} as its volume's row says; "
            "restore it and run again",
        )
    return voxels


@contextmanager
def naming(what: str, path: str) -> Iterator[None]:
    """Turn NiftiError into UnreadableError, which names the file."""
    try:
        yield
    except NiftiError as error:
        raise UnreadableError(
            f"{what}_unreadable", f"File {path} {error}; restore it and run again"
        ) from error


def _row(
    known: SampleInputs, prepared: PreparedSample, config: ShardConfig
) -> schemas.Sample | None:
    """The sample's row; its anatomies are those that the mask shows and the texts describe."""
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
    return schemas.Sample(
        **common_columns(known, prepared),
        anatomies=tuple(anatomies),
        states=tuple(row["state"] for row in texts),
        signatures=tuple(row["signature"] for row in texts),
        findings=tuple(tuple(row["findings"]) for row in texts),
        labels=tuple(tuple(row["labels"]) for row in texts),
        texts=tuple(row["text"] for row in texts),
        boxes=tuple(prepared.boxes[anatomy] for anatomy in anatomies),
    )


def common_columns(known: SampleInputs, prepared: PreparedSample) -> dict[str, Any]:
    """Columns of a sample's row that do not depend on what is known of it beside its image.

    Its place follows once the shard is written.
    """
    return {
        "sample_id": known.sample_id,
        "patient_id": known.patient_id,
        "study_id": known.study_id,
        "volume_id": known.volume_id,
        "split": known.split,
        "shard": "",
        "index": 0,
        "offset_z": 0,
        "shape_zyx": tuple(prepared.image_zyx.shape),
        "spacing_mm": prepared.spacing_mm,
        "affine_ras": tuple(prepared.affine_ras.ravel().tolist()),
        "content_sha256": array_sha256(prepared.image_zyx, prepared.label_zyx),
        **{name: known.volume[name] for name in inputs.DEMOGRAPHICS},
    }


def _distrusted(known: SampleInputs) -> str:
    number = len(known.distrusted)
    return f"; {number} anatomies are without mask by review" if number else ""


def _shown(prepared: PreparedSample | None) -> int:
    return 0 if prepared is None else len(prepared.boxes)
