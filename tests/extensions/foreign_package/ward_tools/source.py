"""Volumes as `x.npy` (int16 HU, axes i, j, k), described by `x.json` beside each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.discovery.file_kind import Aside, Probed
from fvlm_data.ingest.discovery.walk import walk
from fvlm_data.ingest.sources.kind import Kind
from fvlm_data.ingest.volume.geometry import Fault, prove_affine
from fvlm_data.ingest.volume.names import Names
from fvlm_data.ingest.volume.volume_file import (
    Loaded,
    gone,
    judged,
    three_axes,
    to_int16,
    volume_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig, SourceConfig
    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.description import Description
    from fvlm_data.ingest.volume.result import SeriesResult


def find(source: SourceConfig) -> Iterator[FoundFile]:
    """All files; a volume is as old as its description where that is the younger one."""
    for found in walk(source):
        beside = found.place.path.with_suffix(".json")
        if found.place.path.suffix == ".npy" and beside.is_file():
            changed_ns = max(found.modified_ns, beside.stat().st_mtime_ns)
            yield replace(found, modified_ns=changed_ns)
        else:
            yield found


def probe(found: FoundFile) -> Probed:
    path = found.place.path
    content = path.read_bytes()
    if path.suffix != ".npy":
        detail = "it is no .npy file, and is read with the one of its name if there is one"
        return Probed(hashlib.sha256(content).hexdigest(), Aside("out_of_scope", "not_npy", detail))
    beside = path.with_suffix(".json")
    if beside.is_file():
        return Probed(hashlib.sha256(content + beside.read_bytes()).hexdigest())
    detail = "no .json of its name lies beside it, expected its description; bring it"
    fingerprint = hashlib.sha256(content).hexdigest()
    return Probed(fingerprint, Aside("fault", "no_description", detail))


def read(
    files: Sequence[SourceFile],
    series_id: str,
    key: bytes,
    config: IngestConfig,
    description: Description,
    threads: int,
) -> SeriesResult:
    (file,) = files
    if file.place is None or not file.place.path.is_file():
        return gone(file)
    told = json.loads(file.place.path.with_suffix(".json").read_text(encoding="utf-8"))
    affine_ras = np.array(told["affine_ras"], float)
    names = Names(study_uid=told["study"], patient=told["patient"], volume_name=volume_name(file))
    made = _made(file.place.path, affine_ras, config)
    return judged(file, made, names, description, series_id, key, config)


def _made(path: Path, affine_ras: NDArray[np.float64], config: IngestConfig) -> Loaded | Fault:
    values = three_axes(np.load(path, allow_pickle=False), config)
    fault = values if isinstance(values, Fault) else prove_affine(affine_ras, config)
    if fault is not None or isinstance(values, Fault):
        return fault
    volume_hu = to_int16(values)
    if isinstance(volume_hu, Fault):
        return volume_hu
    return Loaded(np.ascontiguousarray(volume_hu.T), affine_ras, "already_hu")


NPY = Kind(find=find, probe=probe, read=read)
