"""Volume files whose values are HU already: the same proof of geometry and HU, a series each.

NIfTI, and what SimpleITK and nibabel read beside it: MetaImage, NRRD, pairs of .hdr and .img.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.checksum import file_checksum
from fvlm_data.ingest.dicom import header
from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.ingest.discovery.file_kind import NIFTI_ENDINGS, Aside, Probed
from fvlm_data.ingest.discovery.opener import is_there, opened
from fvlm_data.ingest.discovery.walk import walk
from fvlm_data.ingest.sources.itk_files import (
    ITK_ENDINGS,
    data_beside,
    ending_of,
    header_of_data,
)
from fvlm_data.ingest.sources.kind import Kind
from fvlm_data.ingest.sources.nifti_file import load
from fvlm_data.ingest.sources.pairs import (
    DATA_ENDING,
    HEADER_ENDING,
    header_beside,
    voxels_beside,
)
from fvlm_data.ingest.volume.description import Columns, Description, from_json, stem
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.names import Names
from fvlm_data.ingest.volume.volume_file import (
    Loaded,
    gone,
    judged,
    probe_file,
    to_int16,
    volume_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fvlm_data.ingest.config import IngestConfig, SourceConfig
    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.ingest.discovery.listed import Listed
    from fvlm_data.ingest.discovery.opener import FileLocation
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.result import SeriesResult

VOLUME_ENDINGS = (*NIFTI_ENDINGS, *ITK_ENDINGS, HEADER_ENDING)
MOST_INODE = (1 << 63) - 1


def find(source: SourceConfig, listed: Listed | None = None) -> Iterator[FoundFile]:
    """As `walk`; what is seen of a volume without opening it is seen of the files beside it too."""
    for found in walk(source, listed):
        states = [path.stat() for path in _companions(found.place)] if not found.problem else []
        for state in states:
            found = replace(
                found,
                modified_ns=max(found.modified_ns, state.st_mtime_ns),
                inode=found.inode ^ (state.st_ino & MOST_INODE),
                arrived_ns=max(found.arrived_ns, state.st_mtime_ns, state.st_ctime_ns),
            )
        yield found


def is_volume(relative: str) -> bool:
    """Whether the name is that of a file which holds a volume, or its header."""
    return relative.lower().endswith(VOLUME_ENDINGS)


def is_companion(place: FileLocation) -> bool:
    """Whether a file is read with the volume that it lies beside."""
    ending = place.path.suffix.lower()
    if ending == ".json":
        return _described_by(place)
    return (ending == DATA_ENDING and header_beside(place)) or header_of_data(place)


def probe(found: FoundFile) -> Probed:
    """A volume file with what lies beside it: a sidecar (keys as DICOM keywords), detached data."""
    if not found.problem and is_companion(found.place):
        return _companion(found)
    probed = probe_file(found, VOLUME_ENDINGS, "not_nifti")
    if probed.aside:
        return probed
    probed = _with_data(probed, found)
    beside = _sidecar(found.place)
    if beside is None:
        return probed
    content = beside.read_bytes()
    fingerprint = hashlib.sha256(probed.fingerprint.encode() + content).hexdigest()
    description = from_json(content)
    if description is None:
        detail = "the JSON file beside it cannot be read; expected an object of DICOM keywords"
        return Probed(fingerprint, Aside("fault", "unreadable_sidecar", detail))
    if description.get("Modality") not in ("", "CT"):
        detail = "its sidecar names another modality than CT"
        aside = Aside("out_of_scope", "modality_not_ct", detail)
        with quiet_pydicom():
            told = frozenset(header.identities(description.dataset()))
        return Probed(fingerprint, aside, names=_names(description), identities=told)
    return replace(probed, fingerprint=fingerprint)


def _companion(found: FoundFile) -> Probed:
    """A file that is read with its volume; its names are those of the sidecar, which it may be."""
    is_json = found.place.path.suffix.lower() == ".json"
    detail = "it is read with the volume file or header of its name"
    aside = Aside("out_of_scope", "sidecar" if is_json else "part_of_volume", detail)
    fingerprint = probe_file(found, (), "").fingerprint
    path = found.place.path
    sidecar = path if is_json else path.with_name(f"{stem(path.name)}.json")
    description = from_json(sidecar.read_bytes()) if sidecar.is_file() else None
    names = _names(description) if description is not None else None
    return Probed(fingerprint, aside, names=names)


def _names(description: Description, volume: str = "") -> Names:
    return Names(
        series_uid=description.get("SeriesInstanceUID"),
        study_uid=description.get("study") or description.get("StudyInstanceUID"),
        patient=description.get("patient") or description.get("PatientID"),
        accession=description.get("AccessionNumber"),
        volume_name=volume,
    )


def _with_data(probed: Probed, found: FoundFile) -> Probed:
    """The fingerprint over all bytes of formats without a checksum of their own."""
    if found.relative.lower().endswith(NIFTI_ENDINGS):
        return probed
    parts = [probed.fingerprint]
    with opened(found.place) as handle:
        parts.append(file_checksum(handle))
    for path in _data(found.place):
        with path.open("rb") as handle:
            parts.append(file_checksum(handle))
    digest = hashlib.sha256("".join(parts).encode()).hexdigest()
    return replace(probed, fingerprint=digest, sampled=False)


def read(
    files: Sequence[SourceFile],
    series_id: str,
    key: bytes,
    config: IngestConfig,
    description: Description,
    threads: int,
) -> SeriesResult:
    """Read one volume file; where CSV and sidecar differ, the CSV wins."""
    (file,) = files
    if file.place is None or not is_there(file.place):
        return gone(file)
    beside = _sidecar(file.place)
    if beside is not None:
        description = description.over(from_json(beside.read_bytes()) or Description())
    names = _names(description, volume_name(file))
    made = _made(file.place, config)
    return judged(file, made, names, description, series_id, key, config)


def _made(place: FileLocation, config: IngestConfig) -> Loaded | Fault:
    loaded = load(place, config)
    if isinstance(loaded, Fault):
        return loaded
    values, affine_ras, checksum = loaded
    if isinstance(affine_ras, Fault):
        return affine_ras
    volume_hu = to_int16(values)
    if isinstance(volume_hu, Fault):
        return volume_hu
    return Loaded(np.ascontiguousarray(volume_hu.T), affine_ras, "already_hu", checksum)


def _companions(place: FileLocation) -> list[Path]:
    beside = _sidecar(place)
    return [*([beside] if beside else []), *_data(place)]


def _data(place: FileLocation) -> list[Path]:
    """Files that hold the voxels of a header."""
    if ending_of(place) != HEADER_ENDING:
        return data_beside(place)
    beside = voxels_beside(place)
    return [beside] if beside else []


def _sidecar(place: FileLocation) -> Path | None:
    """The JSON file beside a volume file in a folder."""
    if place.member or not is_volume(place.path.name):
        return None
    beside = place.path.with_name(f"{stem(place.path.name)}.json")
    return beside if beside.is_file() else None


def _described_by(place: FileLocation) -> bool:
    """Whether a volume file of the same name lies beside a JSON file."""
    names = (f"{place.path.stem}{ending}" for ending in VOLUME_ENDINGS)
    return not place.member and any(place.path.with_name(name).is_file() for name in names)


NIFTI = Kind(
    find=find,
    changed=find,
    probe=probe,
    read=read,
    mapping=Columns("volume", ("study", "patient"), filled=True),
)
