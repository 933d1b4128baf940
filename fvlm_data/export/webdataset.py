"""WebDataset: tar files of bounded size, a sample's members one behind the other."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fvlm_data.export.source import index_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fvlm_data.export.source import Source
    from fvlm_data.export.target import Draft
    from fvlm_data.shards import ShardDataset

Array = np.ndarray[Any, Any]

IMAGE, LABEL, RECORD = ".image.npy", ".label.npy", ".json"
NPY_HEADER = 128
"""Bytes before the values in a .npy file of three axes."""


@dataclass(frozen=True, slots=True)
class Tar:
    """A tar file to write: its path, and number in the dataset and JSON of each sample."""

    path: str
    members: tuple[tuple[int, str, bytes], ...]
    size_bytes: int


def write(
    source: Source, draft: Draft, progress: Callable[[int, int], None], *, max_bytes: int
) -> None:
    """Files <split>-000000.tar and so on, and dataset.json, which lists and describes them.

    Samples come in the order of their ids, which are hashes: a patient's are apart. A tar file
    is at most `max_bytes` long unless a single sample is longer.

    Raises:
        StoreError: a shard cannot be read.
    """
    done = 0
    tars: dict[str, list[dict[str, Any]]] = {}
    for split, dataset in source.splits.items():
        tars[split] = []
        for tar in plan(source, split, max_bytes):
            if not draft.done(tar.path):
                with draft.open(tar.path) as handle:
                    for written in _write_tar(handle, dataset, tar):
                        progress(done + written, source.samples)
            done += len(tar.members)
            progress(done, source.samples)
            tars[split].append({"url": tar.path, "nsamples": len(tar.members)})
    draft.write("dataset.json", (json.dumps(_description(source, tars), indent=1) + "\n").encode())


def plan(source: Source, split: str, max_bytes: int) -> Iterator[Tar]:
    """The tar files of a split, from the index alone."""
    names = (f"{split}-{number:06}.tar" for number in count())
    members: list[tuple[int, str, bytes]] = []
    # the two blocks of zeros that end a tar file
    size = 2 * tarfile.BLOCKSIZE
    for number, row in enumerate(index_rows(source.splits[split])):
        record = _record(source, row)
        voxels = int(np.prod(row["shape_zyx"]))
        sizes = (NPY_HEADER + voxels * np.dtype(source.dtype).itemsize, NPY_HEADER + voxels)
        added = sum(_in_tar(one) for one in (*sizes, len(record)))
        if members and _rounded(size + added) > max_bytes:
            yield Tar(next(names), tuple(members), _rounded(size))
            members, size = [], 2 * tarfile.BLOCKSIZE
        members.append((number, row["sample_id"], record))
        size += added
    yield Tar(next(names), tuple(members), _rounded(size))


def _record(source: Source, row: dict[str, Any]) -> bytes:
    """A sample's JSON: ids, geometry, and what is said of each anatomy."""
    lists = {
        "text": row["texts"],
        "state": row["states"],
        "signature": row["signatures"],
        "findings": row["findings"],
        "labels": row["labels"],
        "box_zyx": row["boxes"],
        "apart": [source.apart.get((row["study_id"], one), ()) for one in row["anatomies"]],
    }
    ids = {name: row[name] for name in ("sample_id", "patient_id", "study_id", "volume_id")}
    record = {
        **ids,
        "split": row["split"],
        "spacing_zyx_mm": row["spacing_mm"],
        "affine_ras": np.reshape(row["affine_ras"], (4, 4)).tolist(),
        "hu_window": source.hu_window,
        "anatomies": {
            anatomy: {name: values[place] for name, values in lists.items()}
            for place, anatomy in enumerate(row["anatomies"])
        },
    }
    return json.dumps(record).encode()


def _write_tar(handle: BinaryIO, dataset: ShardDataset, tar: Tar) -> Iterator[int]:
    """Write a tar file; the number of samples in it, after each."""
    with tarfile.open(fileobj=handle, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for written, (number, sample_id, record) in enumerate(tar.members, 1):
            sample = dataset[number]
            for ending, content in (
                (IMAGE, _npy(sample.image_zyx)),
                (LABEL, _npy(sample.label_zyx)),
                (RECORD, record),
            ):
                # names, times and owners are fixed: the same samples give the same bytes
                member = tarfile.TarInfo(f"{sample_id}{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            yield written


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _description(source: Source, tars: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "image": "image.npy (z, y, x): "
        + ("int16 HU" if source.hu_window is None else "uint8, 0 to 255 over hu_window"),
        "label": "label.npy (z, y, x): uint8, values as in label_values",
        "axes": "z, y, x: +z superior, +y posterior, +x patient left",
        "hu_window": source.hu_window,
        "label_values": {"background": 0, **source.label_values},
        "samples": {split: len(dataset) for split, dataset in source.splits.items()},
        "tars": tars,
    }


def _in_tar(size: int) -> int:
    """Bytes that a member takes: its header, and its content in whole blocks."""
    return tarfile.BLOCKSIZE * (1 + -(-size // tarfile.BLOCKSIZE))


def _rounded(size: int) -> int:
    """Bytes of the file: tar files end on a whole record."""
    return -(-size // tarfile.RECORDSIZE) * tarfile.RECORDSIZE
