"""Reading a DICOM series: each file once, its pixels to HU, its slices to volumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest import header as header_facts
from fvlm_data.ingest.burned_in import check_text
from fvlm_data.ingest.dicom_tags import quiet_pydicom, text
from fvlm_data.ingest.geometry import Fault, Grid
from fvlm_data.ingest.grouping import Stack, stacks
from fvlm_data.ingest.hounsfield import check_header, check_plausible, to_hu
from fvlm_data.ingest.names import patient_id
from fvlm_data.ingest.opener import is_there, opened
from fvlm_data.ingest.slice_header import SliceHeader, parse
from fvlm_data.ingest.volume import Decoded, SeriesResult
from fvlm_data.stage import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from fvlm_data.ingest.commit import SourceFile
    from fvlm_data.ingest.config import IngestConfig

PLUGIN = "pylibjpeg"
"""One decoder for all JPEG syntaxes, so that lossy ones decode alike everywhere."""

RLE_PLUGIN = "pydicom"
"""pylibjpeg's RLE decoder is Rust and panics on damaged data, past `except Exception`."""

RLE = "1.2.840.10008.1.2.5"
NATIVE = {
    # (implicit VR, little endian) of data sets without file meta information
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}
END_OF_IMAGE = b"\xff\xd9"
SEQUENCE_DELIMITER = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"

GONE = "unreadable_file"
DAMAGED = "unreadable_header"
WHY = {
    GONE: "cannot be read any more, expected those that discovery found; bring them back and "
    "run again",
    DAMAGED: "have a damaged header element, expected none; send them again",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice as read: `image_hu` (rows, columns) int16 HU, or the fault that denies it."""

    token: str
    header: SliceHeader
    facts: header_facts.HeaderFacts
    identities: frozenset[str]
    image_hu: NDArray[np.int16] | None
    fault: Fault | None


def read_series(
    files: Sequence[SourceFile], series_id: str, key: bytes, config: IngestConfig
) -> SeriesResult:
    """Read all files of one series; every file ends in a volume or in a reject.

    `key` is the vault's. A stack with a slice that cannot be read is refused as a whole: what
    is left of it would be an anatomy with a hole or a missing end.
    """
    slices: list[Slice] = []
    unreadable: dict[str, list[str]] = {}
    for file in files:
        found = read_slice(file, series_id, key)
        if isinstance(found, Slice):
            slices.append(found)
        else:
            unreadable.setdefault(found, []).append(file.token)
    slices, duplicates = _without_duplicates(slices)
    rejects = _file_rejects(unreadable, duplicates)
    volumes: list[Decoded] = []
    for stack in stacks([one.header for one in slices], config):
        members = [slices[number] for number in stack.members]
        refused = _incomplete(members) if unreadable else _refused_for_slices(members)
        made = refused or _volume(members, stack)
        if isinstance(made, Decoded):
            volumes.append(made)
        else:
            rejects.extend(made)
    identities: dict[str, set[str]] = {}
    for one in slices:
        patient = patient_id(key, one.header.names, series_id)
        identities.setdefault(patient, set()).update(one.identities)
    return SeriesResult(
        tuple(volumes),
        tuple(rejects),
        {patient: tuple(sorted(known)) for patient, known in identities.items()},
        retry=GONE in unreadable,
    )


def read_slice(file: SourceFile, series_id: str, key: bytes) -> Slice | str:
    """Read one DICOM file; the reason code where not even its header can be read."""
    import pydicom

    if file.place is None or not is_there(file.place):
        return GONE
    try:
        with opened(file.place) as handle, quiet_pydicom():
            dataset = pydicom.dcmread(handle, force=True)
            if "PixelData" not in dataset:  # broken off there, and elements may be lost with it
                handle.seek(0)
                dataset = pydicom.dcmread(handle, force=True, stop_before_pixels=True)
            parsed = _named_by_folder(parse(dataset), file.relative)
            found = header_facts.facts(dataset, patient_id(key, parsed.names, series_id), key)
            identities = header_facts.identities(dataset)
            image = check_header(parsed.stored) or _image(dataset, parsed)
    except OSError:
        return GONE
    except Exception:  # pydicom raises any type on damaged files; the caller sets the file aside
        return DAMAGED
    fault = image if isinstance(image, Fault) else None
    pixels = None if isinstance(image, Fault) else image
    return Slice(file.token, parsed, found, identities, pixels, fault)


def _named_by_folder(header: SliceHeader, relative: str) -> SliceHeader:
    """A slice whose header names neither series nor study is named after its folder.

    Masks and reports then find its series by that name (link volume_name).
    """
    folder = PurePosixPath(relative).parent.name
    if header.names.series_uid or header.names.study_uid or not folder:
        return header
    return replace(header, names=replace(header.names, volume_name=folder))


def _image(dataset: Dataset, header: SliceHeader) -> NDArray[np.int16] | Fault:
    pixels = decode(dataset)
    if isinstance(pixels, Fault):
        return pixels
    expected = (header.geometry.rows, header.geometry.columns)
    if pixels.shape != expected:
        return Fault(
            "wrong_image_size",
            f"image of {pixels.shape[0]} x {pixels.shape[-1]} pixels, the header states "
            f"{expected[0]} x {expected[1]}",
        )
    return check_text(pixels) or to_hu(pixels, header.stored)


def decode(dataset: Dataset) -> NDArray[Any] | Fault:
    """Stored values (rows, columns) of a single-frame data set, unused bits as they are."""
    import pydicom.pixels
    from pydicom.uid import UID

    syntax = UID(_transfer_syntax(dataset))
    if not syntax:
        return Fault("no_transfer_syntax", "the header names no transfer syntax; export it again")
    data = dataset.get("PixelData")
    if not data or (syntax.is_compressed and not _ends_well(data, syntax)):
        return Fault(
            "truncated_pixels",
            "pixel data break off before their end; send the file again from the archive",
        )
    options: dict[str, Any] = {"raw": True, "correct_unused_bits": False}
    if syntax.is_encapsulated:
        options["decoding_plugin"] = RLE_PLUGIN if syntax == RLE else PLUGIN
    try:
        dataset.file_meta.TransferSyntaxUID = syntax
        pixels: NDArray[Any] = pydicom.pixels.pixel_array(dataset, **options)
    except Exception as error:  # decoders raise any type on damaged data; it becomes a reject
        short = "less than expected" in str(error)
        reason = "truncated_pixels" if short else "undecodable_pixels"
        return Fault(
            reason,
            f"pixel data cannot be decoded ({type(error).__name__}, transfer syntax {syntax}); "
            "send the file again from the archive",
        )
    return pixels


def _transfer_syntax(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    stated = text(meta, "TransferSyntaxUID") if meta is not None else ""
    if stated:
        return stated
    if meta is None:
        from pydicom.dataset import FileMetaDataset

        dataset.file_meta = FileMetaDataset()
    return NATIVE.get(dataset.original_encoding, "")


def _ends_well(data: bytes, syntax: str) -> bool:
    """Whether the compressed image has its end mark; decoders fill up what is missing."""
    if syntax == RLE:
        return True  # its decoder counts the bytes of every segment
    whole = data.removesuffix(SEQUENCE_DELIMITER).rstrip(b"\x00")
    return whole.endswith(END_OF_IMAGE)


def _without_duplicates(slices: list[Slice]) -> tuple[list[Slice], list[str]]:
    """Slices less those with the same header facts and the same image as another."""
    kept: dict[SliceHeader, list[Slice]] = {}
    duplicates: list[str] = []
    for one in sorted(slices, key=lambda one: one.token):
        same = kept.setdefault(one.header, [])
        if any(_equal(one.image_hu, other.image_hu) for other in same):
            duplicates.append(one.token)
        else:
            same.append(one)
    return [one for group in kept.values() for one in group], duplicates


def _equal(one: NDArray[np.int16] | None, other: NDArray[np.int16] | None) -> bool:
    return one is not None and other is not None and np.array_equal(one, other)


def _file_rejects(unreadable: Mapping[str, list[str]], duplicates: list[str]) -> list[Reject]:
    rejects = [
        Reject("fault", reason, f"{len(tokens)} file(s) of the series {WHY[reason]}", tuple(tokens))
        for reason, tokens in sorted(unreadable.items())
    ]
    if duplicates:
        detail = f"{len(duplicates)} file(s) hold the same slice as another file of the series"
        rejects.append(Reject("duplicate", "same_slice", detail, tuple(duplicates)))
    return rejects


def _refused_for_slices(members: Sequence[Slice]) -> list[Reject]:
    """Rejects of a stack with faulty slices: those by their fault, the rest as incomplete."""
    by_fault: dict[str, list[Slice]] = {}
    for one in members:
        if one.fault:
            by_fault.setdefault(one.fault.reason, []).append(one)
    rejects: list[Reject] = []
    for reason, faulty in sorted(by_fault.items()):
        fault = min(filter(None, (one.fault for one in faulty)), key=lambda fault: fault.detail)
        detail = f"{len(faulty)} of {len(members)} slices: {fault.detail}"
        rejects.append(_reject("fault", reason, detail, faulty))
    sound = [one for one in members if one.fault is None]
    if rejects and sound:
        rejects.extend(_incomplete(sound))
    return rejects


def _incomplete(members: Sequence[Slice]) -> list[Reject]:
    detail = (
        f"{len(members)} sound slice(s) of a stack that has others which cannot be used; "
        "expected all of them to be sound; mend or resend those"
    )
    return [_reject("fault", "incomplete_series", detail, members)]


def _volume(members: Sequence[Slice], stack: Stack) -> Decoded | list[Reject]:
    if not isinstance(stack.proof, Grid):
        return [_reject("fault", stack.proof.reason, stack.proof.detail, members)]
    ordered = [members[number] for number in stack.proof.order]
    image_zyx = np.stack([one.image_hu for one in ordered if one.image_hu is not None])
    fault = check_plausible(image_zyx)
    if fault:
        return [_reject("fault", fault.reason, fault.detail, members)]
    return Decoded(
        image_zyx=image_zyx,
        spacing_mm=stack.proof.spacing_mm,
        affine_ras=stack.proof.affine_ras,
        source_files=tuple(one.token for one in ordered),
        rescale_decision="per_slice",
        names=tuple(dict.fromkeys(one.header.names for one in ordered)),
        facts=ordered[0].facts,
    )


def _reject(kind: str, reason: str, detail: str, members: Sequence[Slice]) -> Reject:
    return Reject(kind, reason, detail, tuple(sorted(one.token for one in members)))
