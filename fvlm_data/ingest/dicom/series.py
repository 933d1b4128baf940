"""Reading a DICOM series: each file once, its pixels to HU, its slices to volumes."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.dicom import header as header_facts
from fvlm_data.ingest.dicom.burned_in import check_text
from fvlm_data.ingest.dicom.multiframe import frame_datasets
from fvlm_data.ingest.dicom.pixels import decode, decodes_without_gil
from fvlm_data.ingest.dicom.slice_header import SliceHeader, parse
from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.ingest.discovery.opener import is_there, opened
from fvlm_data.ingest.volume.geometry import Fault, Grid
from fvlm_data.ingest.volume.grouping import stacks
from fvlm_data.ingest.volume.hounsfield import Rescaled, check_header, out_of_field_to_air, to_hu
from fvlm_data.ingest.volume.names import links, patient_id
from fvlm_data.ingest.volume.plausibility import check_plausible
from fvlm_data.ingest.volume.result import Decoded, SeriesResult
from fvlm_data.ingest.volume.tilt import shear
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydicom.dataset import Dataset

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.source_files import SourceFile

GONE = "unreadable_file"
DAMAGED = "unreadable_header"
WHY = {
    GONE: "cannot be read any more, expected those that discovery found; bring them back and "
    "run again",
    DAMAGED: "have a damaged header element, expected none; send them again",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice or frame as read: its image in HU, or why it has none."""

    token: str
    header: SliceHeader
    facts: header_facts.HeaderFacts
    identities: frozenset[str]
    image: Rescaled | Fault


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file whose header was read, with its pixels as stored; `framed`: it is multi-frame."""

    token: str
    dataset: Dataset
    headers: tuple[SliceHeader, ...]
    framed: bool
    facts: header_facts.HeaderFacts
    identities: frozenset[str]
    without_gil: bool


def read_series(
    files: Sequence[SourceFile], series_id: str, key: bytes, config: IngestConfig, threads: int = 1
) -> SeriesResult:
    """Read all files of one series; every file ends in a volume or in a reject.

    `key` is the vault's. A stack with a slice that cannot be read is refused as a whole: the rest
    would be an anatomy with a hole or a missing end. Up to `threads` threads decode where that is
    faster; the result does not depend on their number.
    """
    slices: list[Slice] = []
    unreadable: dict[str, list[str]] = {}
    with quiet_pydicom(), ThreadPoolExecutor(threads) as pool:
        aside = pool if threads > 1 else None
        reading = [(file.token, _reading(aside, file, series_id, key)) for file in files]
    for token, found in ((token, future.result()) for token, future in reading):
        if isinstance(found, str):
            unreadable.setdefault(found, []).append(token)
        else:
            slices.extend(found)
    readable = slices
    slices, duplicates = _without_duplicates(slices)
    rejects = _file_rejects(unreadable, duplicates)
    volumes: list[Decoded] = []
    for members, proof in _settled(slices, config):
        # which stack an unreadable file belonged to is unknown, so every stack of the series is
        # refused
        refused = _incomplete(members) if unreadable else _refused_for_slices(members)
        made = refused or _volume(members, proof)
        if isinstance(made, Decoded):
            volumes.append(made)
        else:
            rejects.extend(made)
    volumes, rejects = _one_place_a_file(volumes, rejects)
    identities = _identities(readable, series_id, key, linked=not volumes)
    return SeriesResult(tuple(volumes), tuple(rejects), identities, retry=GONE in unreadable)


def _reading(
    pool: ThreadPoolExecutor | None, file: SourceFile, series_id: str, key: bytes
) -> Future[list[Slice] | str]:
    """The slices of one file, or the reason code why it has none.

    Headers are read in this thread, since that is Python code; so are pixels whose decoder holds
    the GIL.
    """
    parsed = parse_file(file, series_id, key)
    if pool is not None and isinstance(parsed, Parsed) and parsed.without_gil:
        # a thread starts with an empty context; in a copy of ours pydicom is quiet there too
        return pool.submit(copy_context().run, decode_file, parsed)
    done: Future[list[Slice] | str] = Future()
    done.set_result(decode_file(parsed) if isinstance(parsed, Parsed) else parsed)
    return done


def parse_file(file: SourceFile, series_id: str, key: bytes) -> Parsed | str:
    """What the header of one DICOM file says; the reason code where it cannot be read."""
    import pydicom

    if file.place is None or not is_there(file.place):
        return GONE
    try:
        with opened(file.place) as handle:
            dataset = pydicom.dcmread(handle, force=True)
            # the file is cut off within its pixels, and other elements may be lost with them: it is
            # read again, up to the pixels only
            if "PixelData" not in dataset:
                handle.seek(0)
                dataset = pydicom.dcmread(handle, force=True, stop_before_pixels=True)
            identities = header_facts.identities(dataset)
            frames = frame_datasets(dataset)
            headers = tuple(
                _named_by_folder(parse(frame), file.relative) for frame in frames or (dataset,)
            )
            return Parsed(
                file.token,
                dataset,
                headers,
                bool(frames),
                header_facts.facts(dataset, patient_id(key, headers[0].names, series_id), key),
                identities,
                decodes_without_gil(dataset),
            )
    except OSError:
        return GONE
    except Exception:  # pydicom raises any type on damaged files; the caller sets the file aside
        return DAMAGED


def decode_file(parsed: Parsed) -> list[Slice] | str:
    """The slices of one DICOM file; the reason code where an element of it is damaged."""
    try:
        return [
            Slice(
                parsed.token,
                header,
                parsed.facts,
                parsed.identities,
                check_header(header.stored)
                or _image(parsed.dataset, header, number if parsed.framed else None),
            )
            for number, header in enumerate(parsed.headers)
        ]
    except Exception:  # as above
        return DAMAGED


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
    return check_text(pixels) or to_hu(pixels, header.stored)


def _identities(
    slices: Sequence[Slice], series_id: str, key: bytes, *, linked: bool
) -> dict[str, tuple[str, ...]]:
    """What the headers say of each patient, for the vault.

    No table says whose a series without a volume is: with `linked` its identities are also kept
    under the hash of each name by which a report may refer to it, so that the report is scrubbed.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for one in slices:
        found[patient_id(key, one.header.names, series_id)].update(one.identities)
    for names in {one.header.names for one in slices} if linked else ():
        known = found[patient_id(key, names, series_id)]
        for link in links(key, names, series_id):
            found[link.value_hash].update(known)
    return {owner: tuple(sorted(known)) for owner, known in found.items()}


def _settled(
    slices: Sequence[Slice], config: IngestConfig
) -> Iterator[tuple[list[Slice], Grid | Fault]]:
    """The stacks of a series; refused as a whole if its headers give one id to two people."""
    conflict = _conflict(slices)
    if conflict:
        yield list(slices), conflict
        return
    for stack in stacks([one.header for one in slices], config):
        yield [slices[number] for number in stack.members], stack.proof


def _conflict(slices: Sequence[Slice]) -> Fault | None:
    """Whether slices of one patient id, or without one, state different names or births."""
    people: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for one in slices:
        names = one.header.names
        known = people.setdefault((names.patient, names.patient_issuer), (set(), set()))
        for values, value in zip(known, one.header.person, strict=True):
            values.update({value} - {""})
    counts = [max(len(values) for values in known) for known in people.values()]
    if max(counts, default=0) < 2:
        return None
    return Fault(
        "patient_conflict",
        f"the slices of one series and patient id state {max(counts)} different names or birth "
        "dates, expected one: they may be of several people; correct the headers in the archive",
    )


def _without_duplicates(slices: list[Slice]) -> tuple[list[Slice], list[str]]:
    """Slices without those that have the place, description and image of another file's slice.

    UIDs and instance numbers are not compared: an image that was sent twice may bear new ones.
    """
    kept: dict[SliceHeader, list[Slice]] = {}
    dropped: set[str] = set()
    # sorted, so that the same copy stays whatever the order of the files
    for one in sorted(slices, key=lambda one: one.token):
        same = kept.setdefault(replace(one.header, sop_uid="", instance=0, content_at=""), [])
        if any(one.token != other.token and _equal(one.image, other.image) for other in same):
            dropped.add(one.token)
        else:
            same.append(one)
    left = [one for group in kept.values() for one in group]
    return left, sorted(dropped - {one.token for one in left})


def _equal(one: Rescaled | Fault, other: Rescaled | Fault) -> bool:
    if isinstance(one, Fault) or isinstance(other, Fault):
        return False
    return np.array_equal(one.image_hu, other.image_hu)


def _one_place_a_file(
    volumes: list[Decoded], rejects: list[Reject]
) -> tuple[list[Decoded], list[Reject]]:
    """Each file in one place: multi-frame files may hold several stacks.

    If one stack of a file is refused, so is the whole file, with the volumes that it is part of;
    of several reasons the first counts.
    """
    settled: set[str] = set()
    single: list[Reject] = []
    for reject in rejects:
        left = tuple(token for token in reject.source_files if token not in settled)
        settled.update(left)
        if left:
            single.append(replace(reject, source_files=left))
    kept = []
    for volume in sorted(volumes, key=lambda one: one.source_files):
        if settled.isdisjoint(volume.source_files):
            kept.append(volume)
            continue
        left = tuple(sorted(set(volume.source_files) - settled))
        settled.update(left)
        detail = (
            f"{len(volume.source_files)} file(s) of a volume share a file with a stack that was "
            "refused, expected every stack of a file to be sound; mend or resend that file"
        )
        if left:
            single.append(Reject("fault", "incomplete_series", detail, left))
    return kept, single


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
        if isinstance(one.image, Fault):
            by_fault.setdefault(one.image.reason, []).append(one)
    rejects: list[Reject] = []
    for reason, faulty in sorted(by_fault.items()):
        example = min(one.image.detail for one in faulty if isinstance(one.image, Fault))
        detail = f"{len(faulty)} of {len(members)} slices: {example}"
        rejects.append(_reject("fault", reason, detail, faulty))
    sound = [one for one in members if isinstance(one.image, Rescaled)]
    if rejects and sound:
        rejects.extend(_incomplete(sound))
    return rejects


def _incomplete(members: Sequence[Slice]) -> list[Reject]:
    detail = (
        f"{len(members)} sound slice(s) of a stack that has others which cannot be used; "
        "expected all of them to be sound; mend or resend those"
    )
    return [_reject("fault", "incomplete_series", detail, members)]


def _volume(members: Sequence[Slice], proof: Grid | Fault) -> Decoded | list[Reject]:
    if isinstance(proof, Fault):
        return [_reject("fault", proof.reason, proof.detail, members)]
    ordered = [members[number] for number in proof.order]
    images = [one.image for one in ordered if isinstance(one.image, Rescaled)]
    image_zyx = np.stack([image.image_hu for image in images])
    # before values far below air are set to it: they are what shows an intercept applied twice
    fault = check_plausible(image_zyx)
    if fault:
        return [_reject("fault", fault.reason, fault.detail, members)]
    adjusted = {
        "padding_to_air": sum(image.padding for image in images),
        "out_of_field_to_air": out_of_field_to_air(image_zyx),
        "clipped_to_int16": sum(image.clipped for image in images),
    }
    return Decoded(
        image_zyx=shear(image_zyx, proof) if proof.offsets_voxels else image_zyx,
        spacing_mm=proof.spacing_mm,
        affine_ras=proof.affine_ras,
        # the frames of a multi-frame file share a token
        source_files=tuple(dict.fromkeys(one.token for one in ordered)),
        rescale_decision="per_slice",
        names=tuple(dict.fromkeys(one.header.names for one in ordered)),
        facts=ordered[0].facts,
        adjustments=tuple(f"{code}={count}" for code, count in adjusted.items() if count),
        tilt_degrees=round(proof.tilt_degrees, 3),
    )


def _reject(kind: str, reason: str, detail: str, members: Sequence[Slice]) -> Reject:
    return Reject(kind, reason, detail, tuple(sorted({one.token for one in members})))
