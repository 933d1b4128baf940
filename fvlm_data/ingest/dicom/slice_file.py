"""One DICOM file to its slices: the header first, then its pixels to HU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fvlm_data.ingest.dicom import header as header_facts
from fvlm_data.ingest.dicom.burned_in import check_text
from fvlm_data.ingest.dicom.image_types import excluded
from fvlm_data.ingest.dicom.multiframe import frame_datasets
from fvlm_data.ingest.dicom.pixels import decode, decodes_without_gil
from fvlm_data.ingest.dicom.reading import read_dataset
from fvlm_data.ingest.dicom.slice_header import SliceHeader, parse
from fvlm_data.ingest.discovery.opener import TooLargeError, is_there, opened
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.hounsfield import Rescaled, check_header, to_hu, without_overlays
from fvlm_data.ingest.volume.names import patient_id
from fvlm_data.memory import lacks_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

    from fvlm_data.ingest.source_files import SourceFile


GONE = "unreadable_file"
DAMAGED = "unreadable_header"
TOO_LARGE = "file_too_large"


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice or frame as read: its image in HU, or why it has none.

    `patient` is the id of the patient that its own header states.
    """

    token: str
    header: SliceHeader
    patient: str
    facts: header_facts.HeaderFacts
    identities: frozenset[str]
    image: Rescaled | Fault
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file whose header was read, with its pixels as stored; `framed`: it is multi-frame."""

    token: str
    dataset: Dataset
    headers: tuple[SliceHeader, ...]
    patient: str
    framed: bool
    facts: header_facts.HeaderFacts
    identities: frozenset[str]
    without_gil: bool
    checksum: str


@dataclass(frozen=True, slots=True)
class Limit:
    """Memory that the pixels of a series may take, and the number of files that share it."""

    series_bytes: int
    files: int

    def is_above(self, headers: Sequence[SliceHeader]) -> bool:
        """Whether the images of one file claim more than its share of it, as int16 HU.

        A multi-frame file is likely the only one of its series.
        """
        claimed = sum(2 * one.geometry.rows * one.geometry.columns for one in headers)
        return claimed * (self.files if len(headers) == 1 else 1) > self.series_bytes


def parse_file(file: SourceFile, series_id: str, key: bytes, limit: Limit) -> Parsed | str:
    """What the header of one DICOM file says; the reason code where it cannot be read."""
    if file.place is None or not is_there(file.place):
        return GONE
    try:
        with opened(file.place) as handle:
            dataset, checksum = read_dataset(handle, limit.series_bytes)
            identities = header_facts.identities(dataset)
            frames = frame_datasets(dataset)
            headers = tuple(
                _named_by_folder(parse(frame), file.relative) for frame in frames or (dataset,)
            )
            if limit.is_above(headers):
                return TOO_LARGE
            patient = patient_id(key, headers[0].names, series_id)
            return Parsed(
                file.token,
                dataset,
                headers,
                patient,
                bool(frames),
                header_facts.facts(dataset, patient, key),
                identities,
                decodes_without_gil(dataset),
                checksum,
            )
    except OSError:
        return GONE
    except TooLargeError:
        return TOO_LARGE
    except Exception as error:  # pydicom raises any type on damaged files; the caller tells it
        if lacks_memory(error):
            raise MemoryError from error
        return DAMAGED


def decode_file(parsed: Parsed) -> list[Slice] | str:
    """The slices of one DICOM file; the reason code where an element of it is damaged."""
    try:
        return [
            Slice(
                parsed.token,
                header,
                parsed.patient,
                parsed.facts,
                parsed.identities,
                (_derived(header) if parsed.framed else None)
                or check_header(header.stored)
                or _image(parsed.dataset, header, number if parsed.framed else None),
                parsed.checksum,
            )
            for number, header in enumerate(parsed.headers)
        ]
    except Exception as error:  # as above
        if lacks_memory(error):
            raise MemoryError from error
        return DAMAGED


def _derived(header: SliceHeader) -> Fault | None:
    """The fault of a frame whose own type says what that of its file does not (PS3.3 C.8.15.3)."""
    found = excluded(header.image_type)
    if found is None:
        return None
    return Fault(
        "derived_frames",
        f"FrameType holds {found[1]}, expected frames of CT as reconstructed, in HU; leave the "
        "file out",
    )


def _named_by_folder(header: SliceHeader, relative: str) -> SliceHeader:
    """A slice whose header names neither series nor study is named after its folder.

    Masks and reports then find its series by that name (link volume_name).
    """
    folder = PurePosixPath(relative).parent.name
    if header.names.series_uid or header.names.study_uid or not folder:
        return header
    return replace(header, names=replace(header.names, volume_name=folder))


def _image(dataset: Dataset, header: SliceHeader, frame: int | None) -> Rescaled | Fault:
    pixels = decode(dataset, frame)
    if isinstance(pixels, Fault):
        return pixels
    expected = (header.geometry.rows, header.geometry.columns)
    if pixels.shape != expected:
        return Fault(
            "wrong_image_size",
            f"image of {pixels.shape[0]} x {pixels.shape[-1]} pixels, expected {expected[0]} x "
            f"{expected[1]} as the header states; send the file again from the archive",
        )
    pixels = without_overlays(pixels, header.stored)
    return check_text(pixels) or to_hu(pixels, header.stored)
