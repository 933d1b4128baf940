"""What one file is: the series that it belongs to, or why it is set aside. Headers only."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, cast

from fvlm_data.errors import FvlmError
from fvlm_data.ingest.dicom import header
from fvlm_data.ingest.dicom.header import IDENTITY_DATES, IDENTITY_NAMES, IDENTITY_TEXTS
from fvlm_data.ingest.dicom.image_types import excluded
from fvlm_data.ingest.dicom.reading import unpacks_to_too_much
from fvlm_data.ingest.dicom.slice_header import parse_names
from fvlm_data.ingest.dicom.tags import integer, quiet_pydicom, text, texts, uid
from fvlm_data.ingest.discovery.found_file import PROBLEMS
from fvlm_data.ingest.discovery.opener import TooLargeError, opened
from fvlm_data.memory import lacks_memory
from fvlm_data.store.declared import NO_MEMORY, NO_MEMORY_DETAIL

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.ingest.volume.names import Names

TAIL_BYTES = 4096
"""End of a file that enters its fingerprint with the header: pixels are not read at discovery."""

BLOCK_BYTES = 1 << 20
NIFTI_HEAD_BYTES = 65536
NIFTI_ENDINGS = (".nii.gz", ".nii")
FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""First bytes of a data set without preamble: group 0002, or 0008 in either byte order."""

DIRECTORY_STORAGE = "1.2.840.10008.1.3.10"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
DEFLATED = "1.2.840.10008.1.2.1.99"

TOO_MUCH = (
    "the file is packed and would unpack to far more than CT does, expected at most 10 times its "
    "size; not read; check where it comes from"
)

KNOWN_MODALITIES = frozenset(
    {"CR", "DX", "ECG", "MG", "MR", "NM", "OT", "PR", "PT", "REG", "RF", "RTDOSE", "RTIMAGE"}
    | {"RTPLAN", "RTSTRUCT", "SC", "SEG", "SR", "US", "XA"}
)
"""Modalities that a message may name; any other text could be anything."""

TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "IssuerOfPatientID",
    "AccessionNumber",
    "Modality",
    "ImageType",
    "BurnedInAnnotation",
    "AnatomicalOrientationType",
    "NumberOfFrames",
    "NumberOfSeriesRelatedInstances",
    "NumberOfStudyRelatedInstances",
    "SeriesNumber",
    "SeriesDate",
    "SeriesTime",
    "DeviceSerialNumber",
    "Rows",
    "Columns",
    "DirectoryRecordSequence",
    "OtherPatientIDsSequence",
    *IDENTITY_TEXTS,
    *IDENTITY_NAMES,
    *IDENTITY_DATES,
)
WITHOUT_REPORT = frozenset({"dicomdir", "not_dicom", "modality_not_ct"})
"""Reasons of files that no report of a CT is about."""

DEFERRED_BYTES = 1 << 16
"""Elements that are longer, and no name, stay in the file."""

HINTS = (
    "FrameOfReferenceUID",
    "SeriesNumber",
    "SeriesTime",
    "SeriesDate",
    "StudyInstanceUID",
    "DeviceSerialNumber",
)
TELLING_HINTS = 3
"""Of the hints, the first three tell series apart; one of them must be there."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Why a file is set aside at discovery."""

    kind: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Whole:
    """Series and study that a header names, and how many instances it says that they have."""

    series_uid: str = ""
    study_uid: str = ""
    series_instances: int = 0
    study_instances: int = 0


@dataclass(frozen=True, slots=True)
class Probed:
    """What a file's header says: its content's fingerprint and what becomes of it.

    `names` and `series_hint` are for files that belong to a CT series: without a series UID
    the hint, from the headers of one folder, stands in its place. `identities` are those of a
    file that is set aside: reports may be about it all the same. None of them may enter a table,
    nor may the UIDs of `whole`.

    `sampled` says that the fingerprint rests on a part of the file's bytes; where the file is known
    and looks changed, `checksum` is that of all of them.
    """

    fingerprint: str
    aside: Aside | None = None
    names: Names | None = None
    series_hint: tuple[str, ...] = ()
    identities: frozenset[str] = frozenset()
    whole: Whole = Whole()
    sampled: bool = False
    checksum: str = ""


NOT_LOOKED_AT = Probed("", Aside("fault", NO_MEMORY, NO_MEMORY_DETAIL))
"""Memory did not suffice, which is no fault of the file: the next run looks again."""


def probe(found: FoundFile, kind: str) -> Probed:
    """Look at one file of a source of kind `dicom` or `nifti`."""
    if found.problem:
        problem = PROBLEMS[found.problem]
        fingerprint = "" if problem.passing else _fingerprint(0, found.problem.encode(), b"")
        aside = Aside(problem.kind, found.problem, problem.detail)
        return Probed(fingerprint, aside, whole=_whole_of_misnamed(found, kind))
    if found.size_bytes == 0:
        detail = "the file is empty, expected an image; send it again"
        return Probed(_fingerprint(0, b"", b""), Aside("fault", "empty_file", detail))
    try:
        in_part = kind == "dicom" or not _read_whole(found)
        with opened(found.place.read_in_part() if in_part else found.place) as handle:
            return _dicom(handle) if kind == "dicom" else _nifti(handle, found)
    except OSError:
        return Probed("", Aside("fault", "unreadable_file", PROBLEMS["unreadable_file"].detail))
    except TooLargeError:
        fingerprint = _fingerprint(found.size_bytes, TOO_MUCH.encode(), b"")
        return Probed(fingerprint, Aside("fault", "unpacks_to_too_much", TOO_MUCH))
    except MemoryError:
        return NOT_LOOKED_AT


def _whole_of_misnamed(found: FoundFile, kind: str) -> Whole:
    """Which series a file belongs to that is set aside for its name alone."""
    if found.problem != "file_name_not_unicode" or kind != "dicom":
        return Whole()
    try:
        with opened(found.place) as handle:
            return _header(handle, found.size_bytes, marked=True).whole
    except (OSError, TooLargeError):
        return Whole()


def is_nifti(relative: str) -> bool:
    """Whether the name is that of a NIfTI file."""
    return relative.lower().endswith(NIFTI_ENDINGS)


def _read_whole(found: FoundFile) -> bool:
    """Whether the fingerprint of a volume file rests on all of its bytes.

    Uncompressed, voxels in the middle may change with neither head nor tail; gzip's tail holds a
    checksum.
    """
    return found.relative.lower().endswith(".nii")


def _nifti(handle: BinaryIO, found: FoundFile) -> Probed:
    sampled = not _read_whole(found)
    if not sampled:
        digest = _file_digest(handle)
        fingerprint = _fingerprint(found.size_bytes, digest, b"")
    else:
        head = handle.read(NIFTI_HEAD_BYTES)
        fingerprint = _fingerprint(found.size_bytes, head, _tail(handle, found.size_bytes))
    if is_nifti(found.relative):
        return Probed(fingerprint, sampled=sampled)
    detail = "the file is no .nii or .nii.gz, expected NIfTI files in a NIfTI source"
    return Probed(fingerprint, Aside("out_of_scope", "not_nifti", detail), sampled=sampled)


def _dicom(handle: BinaryIO) -> Probed:
    size = handle.seek(0, os.SEEK_END)  # of a packed file: unpacked
    handle.seek(0)
    # 128 bytes of preamble, then DICM (DICOM PS3.10 7.1)
    start = handle.read(132)
    if start[128:] != b"DICM" and start[:2] not in FIRST_GROUPS:
        fingerprint = _fingerprint(size, start, _tail(handle, size))
        detail = "the file is no DICOM (no DICM mark and no data set at its start)"
        return Probed(fingerprint, Aside("out_of_scope", "not_dicom", detail))
    marked = start[128:] == b"DICM"
    handle.seek(0)
    series = _header(handle, size, marked=marked)
    end = min(handle.tell(), size)  # a damaged length may have led beyond
    handle.seek(0)
    fingerprint = _fingerprint(size, handle.read(end), _tail(handle, size))
    return replace(series, fingerprint=fingerprint, sampled=True)


def probe_dataset(fingerprint: str, make: Callable[[], Dataset]) -> Probed:
    """What a header says that comes without its file, as a server's metadata do."""
    try:
        with quiet_pydicom():
            dataset = make()
            probed = _probed(dataset, _judged(dataset, marked=True))
    except Exception as error:  # pydicom raises any type on damaged values
        if lacks_memory(error):
            return NOT_LOOKED_AT
        probed = Probed("", _unreadable(type(error).__name__))
    return replace(probed, fingerprint=fingerprint)


def _probed(dataset: Dataset, judged: tuple[Names, tuple[str, ...]] | Aside) -> Probed:
    if isinstance(judged, Aside) and judged.reason not in WITHOUT_REPORT:
        # before any name is read: see `identities`
        identities = header.identities(dataset)
        return Probed("", judged, parse_names(dataset), (), identities, _whole(dataset))
    if isinstance(judged, Aside):
        return Probed("", judged, whole=_whole(dataset))
    return Probed("", None, *judged, whole=_whole(dataset))


def _whole(dataset: Dataset) -> Whole:
    return Whole(
        uid(dataset, "SeriesInstanceUID"),
        uid(dataset, "StudyInstanceUID"),
        integer(dataset, "NumberOfSeriesRelatedInstances", 0),
        integer(dataset, "NumberOfStudyRelatedInstances", 0),
    )


def _header(handle: BinaryIO, size: int, *, marked: bool) -> Probed:
    """What a header says, without fingerprint; `handle` is left where its pixel data begin."""
    import pydicom

    if unpacks_to_too_much(handle):
        raise TooLargeError
    handle.seek(0)
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(
                handle, stop_before_pixels=True, force=True, specific_tags=list(TAGS)
            )
            end = handle.tell()
            judged = _judged(dataset, marked=marked)
            if not isinstance(judged, Aside) or judged.reason == "no_series_identifier":
                judged = _complete(dataset, end, size) or judged
            if isinstance(judged, Aside) and judged.reason not in WITHOUT_REPORT:
                # nobody opens the file again, and a report may name whom any attribute names
                handle.seek(0)
                dataset = pydicom.dcmread(
                    handle, defer_size=DEFERRED_BYTES, stop_before_pixels=True, force=True
                )
            return _probed(dataset, judged)
    except FvlmError:  # a server that gives no more of it
        raise
    except Exception as error:  # pydicom raises any type on damaged files; each gets its row
        short = lacks_memory(error)
        if short and isinstance(handle, WithinFile):
            raise MemoryError from error
        damage = type(error).__name__
    if short:
        # a damaged length may claim 4 GiB, which `read` takes before it looks
        handle.seek(0)
        return _header(cast("BinaryIO", WithinFile(handle, size)), size, marked=marked)
    if not marked:
        detail = "no DICM mark, and no data set that reads"
        return Probed("", Aside("out_of_scope", "not_dicom", detail))
    return Probed("", _unreadable(damage))


class WithinFile:
    """An open file of which no more is asked for than it holds."""

    def __init__(self, handle: BinaryIO, size: int) -> None:
        """`size` is that of the file in bytes."""
        self._handle, self._size = handle, size
        self.seek, self.tell = handle.seek, handle.tell

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from where the file stands."""
        left = self._size - self._handle.tell()
        return self._handle.read(left if size < 0 else min(size, left))


def _judged(dataset: Dataset, *, marked: bool) -> tuple[Names, tuple[str, ...]] | Aside:
    excluded = _scope(dataset, marked=marked)
    if excluded:
        return excluded
    names = parse_names(dataset)
    hint = () if names.series_uid else _series_hint(dataset)
    if not names.series_uid and not any(hint[:TELLING_HINTS]):
        detail = (
            "no series UID, frame of reference, series number or time; expected one of them: the "
            "slice cannot be told from those of other series; export it with identifiers"
        )
        return Aside("fault", "no_series_identifier", detail)
    return names, hint


def _unreadable(damage: str) -> Aside:
    detail = f"the header cannot be read ({damage}): damaged; send it again"
    return Aside("fault", "unreadable_header", detail)


def _scope(dataset: Dataset, *, marked: bool) -> Aside | None:
    """Whether the file is a CT slice at all."""
    sop_class = uid(dataset, "SOPClassUID", "MediaStorageSOPClassUID")
    modality = text(dataset, "Modality").upper()
    if sop_class == DIRECTORY_STORAGE or "DirectoryRecordSequence" in dataset:
        return Aside("out_of_scope", "dicomdir", "a DICOMDIR; its files are found by themselves")
    if not modality and sop_class not in (CT_STORAGE, *ENHANCED_CT):
        if not marked and not sop_class:
            return Aside("out_of_scope", "not_dicom", "the file holds no DICOM data set")
        if not sop_class:
            detail = "the header names no modality and no SOP class; damaged, or not an image"
            return Aside("fault", "modality_unknown", detail)
    if sop_class.startswith(CAPTURES):
        return Aside("out_of_scope", "secondary_capture", "a secondary capture, expected CT slices")
    if modality not in ("CT", "") or not (modality or sop_class in (CT_STORAGE, *ENHANCED_CT)):
        known = modality if modality in KNOWN_MODALITIES else "another one"
        return Aside("out_of_scope", "modality_not_ct", f"modality: {known}, expected CT")
    if sop_class not in ENHANCED_CT and integer(dataset, "NumberOfFrames", 1) > 1:
        detail = (
            "several frames in one file that is no Enhanced CT, expected single frames or Enhanced "
            "CT: the frames' places are not known; export it as one of them"
        )
        return Aside("out_of_scope", "multiframe", detail)
    return _excluded_type(dataset)


def _excluded_type(dataset: Dataset) -> Aside | None:
    found = excluded(texts(dataset, "ImageType"))
    if found:
        reason, word = found
        kind = "not_selected" if reason == "reformatted" else "out_of_scope"
        detail = f"ImageType holds {word}, expected slices of CT as reconstructed, in HU"
        return Aside(kind, reason, detail)
    if text(dataset, "AnatomicalOrientationType").upper() == "QUADRUPED":
        detail = (
            "AnatomicalOrientationType is QUADRUPED: an animal, whose axes have other names, "
            "expected a human; leave it out"
        )
        return Aside("out_of_scope", "not_human", detail)
    if text(dataset, "BurnedInAnnotation").upper() == "YES":
        detail = "BurnedInAnnotation is YES: the pixels may show an identity; leave it out"
        return Aside("fault", "burned_in_annotation", detail)
    return None


def _complete(dataset: Dataset, end: int, size: int) -> Aside | None:
    meta = getattr(dataset, "file_meta", None)
    # there the data set is compressed with its pixels (PS3.5 A.5): the reader has come to the
    # file's end
    deflated = meta is not None and text(meta, "TransferSyntaxUID") == DEFLATED
    if end >= size and not deflated:
        detail = (
            f"the file ends with its header ({size} bytes), expected pixel data behind it: "
            "truncated, or sent without images; send it again"
        )
        return Aside("fault", "no_pixel_data", detail)
    return None


def _series_hint(dataset: Dataset) -> tuple[str, ...]:
    """Header values that all slices of one series share, where the series UID is blank."""
    return tuple(text(dataset, keyword) for keyword in HINTS)


def _file_digest(handle: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while block := handle.read(BLOCK_BYTES):
        digest.update(block)
    return digest.digest()


def _tail(handle: BinaryIO, size: int) -> bytes:
    handle.seek(max(0, size - TAIL_BYTES), os.SEEK_SET)
    return handle.read(TAIL_BYTES)


def _fingerprint(size: int, head: bytes, tail: bytes) -> str:
    digest = hashlib.sha256(f"{size}:{len(head)}:".encode())
    digest.update(head)
    digest.update(tail)
    return digest.hexdigest()
