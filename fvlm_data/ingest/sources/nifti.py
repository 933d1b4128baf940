"""Volume files whose values are HU already: the same proof of geometry and HU, a series each.

NIfTI, and what SimpleITK and nibabel read beside it: MetaImage, NRRD, pairs of .hdr and .img.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.checksum import file_checksum
from fvlm_data.ingest.dicom import header
from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.ingest.discovery.file_kind import NIFTI_ENDINGS, Aside, Probed
from fvlm_data.ingest.discovery.opener import beside, is_there, opened, state_of
from fvlm_data.ingest.discovery.walk import named as named_in_folder
from fvlm_data.ingest.discovery.walk import walk
from fvlm_data.ingest.sources.itk_files import (
    DATA_ENDINGS,
    DETACHED_ENDINGS,
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
from fvlm_data.ingest.sources.pairs import DATA_ENDINGS as PAIR_ENDINGS
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
    from collections.abc import Iterable, Iterator, Sequence

    from fvlm_data.ingest.config import IngestConfig, SourceConfig
    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.ingest.discovery.listed import Listed
    from fvlm_data.ingest.discovery.opener import FileLocation, FileState
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.result import SeriesResult

VOLUME_ENDINGS = (*NIFTI_ENDINGS, *ITK_ENDINGS, HEADER_ENDING)
COMPANION_ENDINGS = (".json", *PAIR_ENDINGS, *DATA_ENDINGS)
MOST_INODE = (1 << 63) - 1


def find(source: SourceConfig, listed: Listed | None = None) -> Iterator[FoundFile]:
    """As `walk`; what is seen of a volume without opening it is seen of the files beside it too."""
    yield from map(with_companions, walk(source, listed))


def named(source: SourceConfig, names: Sequence[str]) -> Iterator[FoundFile]:
    """As `walk`'s; of what is read with a volume file, that volume too."""
    yield from map(with_companions, named_in_folder(source, with_volumes(names)))


def with_volumes(names: Iterable[str]) -> list[str]:
    """The names, with those that volumes may have which a file of these names is read with."""
    found = dict.fromkeys(names)
    for name in list(found):
        if name.lower().endswith(COMPANION_ENDINGS):
            found |= dict.fromkeys(f"{stem(name)}{ending}" for ending in VOLUME_ENDINGS)
    return list(found)


def with_companions(found: FoundFile) -> FoundFile:
    """What is seen of a file, with what is seen of those beside it that it is read with."""
    if found.problem:
        return found
    states = [state_of(one) for one in _companions(found.place)]
    return with_states(found, [one for one in states if one is not None])


def with_states(found: FoundFile, states: Iterable[FileState]) -> FoundFile:
    """What is seen of a file, with the states of those that it is read with."""
    for state in states:
        found = replace(
            found,
            modified_ns=max(found.modified_ns, state.modified_ns),
            inode=found.inode ^ (state.inode & MOST_INODE),
            arrived_ns=max(found.arrived_ns, state.arrived_ns),
        )
    return found


def is_volume(relative: str) -> bool:
    """Whether the name is that of a file which holds a volume, or its header."""
    return relative.lower().endswith(VOLUME_ENDINGS)


def is_companion(place: FileLocation) -> bool:
    """Whether a file is read with the volume that it lies beside."""
    ending = ending_of(place)
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
    sidecar = _sidecar(found.place)
    if sidecar is None:
        return probed
    content = _content(sidecar)
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
    is_json = ending_of(found.place) == ".json"
    detail = "it is read with the volume file or header of its name"
    aside = Aside("out_of_scope", "sidecar" if is_json else "part_of_volume", detail)
    fingerprint = probe_file(found, (), "").fingerprint
    place = found.place
    sidecar = place if is_json else beside(place, f"{stem(place.name)}.json")
    description = from_json(_content(sidecar)) if sidecar else None
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
    for one in _data(found.place):
        with opened(one) as handle:
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
    if file.place is None or not _reachable(file.place):
        return gone(file)
    sidecar = _sidecar(file.place)
    if sidecar is not None:
        description = description.over(from_json(_content(sidecar)) or Description())
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


def _reachable(place: FileLocation) -> bool:
    """Whether the file is there: an object is asked for, since its loss is told as damage later."""
    return is_there(place) and (not place.in_bucket or state_of(place) is not None)


def companion_names(name: str) -> list[str]:
    """What files may be called that a volume file of a name is read with."""
    bare = PurePosixPath(name).stem
    ending = PurePosixPath(name).suffix.lower()
    data: tuple[str, ...] = PAIR_ENDINGS if ending == HEADER_ENDING else ()
    data = DATA_ENDINGS if ending in DETACHED_ENDINGS else data
    return [f"{stem(name)}.json", *(f"{bare}{one}" for one in data)] if is_volume(name) else []


def _companions(place: FileLocation) -> list[FileLocation]:
    sidecar = _sidecar(place)
    return [*([sidecar] if sidecar else []), *_data(place)]


def _data(place: FileLocation) -> list[FileLocation]:
    """Files that hold the voxels of a header."""
    if ending_of(place) != HEADER_ENDING:
        return data_beside(place)
    data = voxels_beside(place)
    return [data] if data else []


def _sidecar(place: FileLocation) -> FileLocation | None:
    """The JSON file beside a volume file in a folder or bucket."""
    return beside(place, f"{stem(place.name)}.json") if is_volume(place.name) else None


def _described_by(place: FileLocation) -> bool:
    """Whether a volume file of the same name lies beside a JSON file."""
    bare = PurePosixPath(place.name).stem
    return any(beside(place, f"{bare}{ending}") for ending in VOLUME_ENDINGS)


def _content(place: FileLocation) -> bytes:
    with opened(place) as handle:
        return handle.read()


NIFTI = Kind(
    find=find,
    changed=find,
    named=named,
    probe=probe,
    read=read,
    mapping=Columns("volume", ("study", "patient"), filled=True),
)
