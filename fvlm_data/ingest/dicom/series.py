"""Reading a DICOM series: each file once, its pixels to HU, its slices to volumes."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.dicom import header as header_facts
from fvlm_data.ingest.dicom.burned_in import check_text
from fvlm_data.ingest.dicom.multiframe import frame_datasets
from fvlm_data.ingest.dicom.pixels import decode, decodes_without_gil
from fvlm_data.ingest.dicom.reading import read_dataset
from fvlm_data.ingest.dicom.slice_header import SliceHeader, parse
from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.ingest.discovery.opener import TooLargeError, is_there, opened
from fvlm_data.ingest.volume.attributes import agreeing, blanks, normal_text
from fvlm_data.ingest.volume.bounds import check_bounds
from fvlm_data.ingest.volume.completeness import announced_more, set_aside_next_to
from fvlm_data.ingest.volume.geometry import Fault, Grid, prove
from fvlm_data.ingest.volume.grouping import Stack, stacks
from fvlm_data.ingest.volume.hounsfield import (
    Rescaled,
    check_header,
    out_of_field_to_air,
    to_hu,
    without_overlays,
)
from fvlm_data.ingest.volume.names import links, patient_id
from fvlm_data.ingest.volume.outlier_slices import check_neighbours
from fvlm_data.ingest.volume.plausibility import check_plausible
from fvlm_data.ingest.volume.result import Decoded, SeriesResult
from fvlm_data.ingest.volume.tilt import shear
from fvlm_data.memory import lacks_memory
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydicom.dataset import Dataset

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.names import Names

GONE = "unreadable_file"
DAMAGED = "unreadable_header"
TOO_LARGE = "file_too_large"
WHY = {
    GONE: "cannot be read any more, expected those that discovery found; bring them back and "
    "run again",
    DAMAGED: "have a damaged header element, expected none; send them again",
    TOO_LARGE: "claim, hold or unpack to more than a series may take in memory "
    "(ingest.max_series_mb); look at them, or raise it",
}


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


def read_series(
    files: Sequence[SourceFile], series_id: str, key: bytes, config: IngestConfig, threads: int = 1
) -> SeriesResult:
    """Read all files of one series; every file ends in a volume or in a reject.

    `key` is the vault's. A stack with a slice that cannot be read is refused as a whole: the rest
    would be an anatomy with a hole or a missing end (`ingest.incomplete` may let the rest pass
    where it is a proved volume). Up to `threads` threads decode where that is
    faster; the result does not depend on their number.
    """
    slices: list[Slice] = []
    unreadable: dict[str, list[str]] = {}
    with quiet_pydicom(), ThreadPoolExecutor(threads) as pool:
        aside = pool if threads > 1 else None
        limit = Limit(config.max_series_mb << 20, max(len(files), config.min_slices))
        reading = [(one.token, _reading(aside, one, series_id, key, limit)) for one in files]
    for token, found in ((token, future.result()) for token, future in reading):
        if isinstance(found, str):
            unreadable.setdefault(found, []).append(token)
        else:
            slices.extend(found)
    slices = named_alike(slices)
    readable = slices
    slices, duplicates = _without_duplicates(slices)
    rejects = _file_rejects(unreadable, duplicates)
    volumes: list[Decoded] = []
    for stack in _settled(slices, config):
        made, refused = _made(
            stack, unreadable, partial(patient_id, key, fallback=series_id), config
        )
        volumes.extend(made)
        rejects.extend(refused)
    volumes, rejects = _one_place_a_file(volumes, rejects)
    identities = identities_of(readable, series_id, key, linked=not volumes)
    checksums = {one.token: one.checksum for one in readable}
    retry = GONE in unreadable
    return SeriesResult(tuple(volumes), tuple(rejects), identities, retry, checksums)


def _reading(
    pool: ThreadPoolExecutor | None, file: SourceFile, series_id: str, key: bytes, limit: Limit
) -> Future[list[Slice] | str]:
    """The slices of one file, or the reason code why it has none.

    Headers are read in this thread, since that is Python code; so are pixels whose decoder holds
    the GIL.
    """
    parsed = parse_file(file, series_id, key, limit)
    if pool is not None and isinstance(parsed, Parsed) and parsed.without_gil:
        # a thread starts with an empty context; in a copy of ours pydicom is quiet there too
        return pool.submit(copy_context().run, decode_file, parsed)
    done: Future[list[Slice] | str] = Future()
    done.set_result(decode_file(parsed) if isinstance(parsed, Parsed) else parsed)
    return done


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
                check_header(header.stored)
                or _image(parsed.dataset, header, number if parsed.framed else None),
                parsed.checksum,
            )
            for number, header in enumerate(parsed.headers)
        ]
    except Exception as error:  # as above
        if lacks_memory(error):
            raise MemoryError from error
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
    pixels = without_overlays(pixels, header.stored)
    return check_text(pixels) or to_hu(pixels, header.stored)


def identities_of(
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


@dataclass(frozen=True, slots=True)
class _Judged:
    """A stack of a series: its slices, the proof, and what its scan lacks (empty: nothing)."""

    members: Sequence[Slice]
    stack: Stack
    lacks: str


def _settled(slices: Sequence[Slice], config: IngestConfig) -> Iterator[_Judged]:
    """The stacks of a series; refused as a whole if its headers give one id to two people."""
    conflict = _conflict(slices)
    if conflict:
        yield _Judged(slices, Stack(tuple(range(len(slices))), conflict), "")
        return
    headers = [one.header for one in slices]
    found = stacks(headers, config)
    for stack in found:
        beside = set_aside_next_to(stack, found, headers)
        lacks = announced_more(stack.members, headers)
        if beside:
            lacks = f"{beside} slice(s) next to its end are set aside"
        yield _Judged([slices[number] for number in stack.members], stack, lacks)


def named_alike(slices: Sequence[Slice]) -> list[Slice]:
    """Slices; where some leave study or issuer blank and the others state one, all have that one.

    Else one scan would be of two patients or studies, whose ids are made of these.
    """
    study = _only([one.header.names.study_uid for one in slices])
    issuer = _only([one.header.names.patient_issuer for one in slices])

    def alike(names: Names) -> Names:
        return replace(
            names,
            study_uid=study or names.study_uid,
            patient_issuer=issuer or names.patient_issuer,
        )

    return [
        replace(one, header=replace(one.header, names=alike(one.header.names))) for one in slices
    ]


def _only(values: Sequence[str]) -> str:
    """The one value that all state who state any, in its least spelling; empty if there are two."""
    alike = {normal_text(value) for value in values} - {""}
    return min(filter(None, values)) if len(alike) == 1 else ""


def _facts(ordered: Sequence[Slice], patient: str) -> header_facts.HeaderFacts:
    """Facts of a volume: each from the first slice that states it.

    A date is shifted by its patient: it comes from a slice that stated the same patient.
    """
    first: dict[str, Any] = {
        field.name: next(
            (told for one in ordered if (told := getattr(one.facts, field.name)) is not None), None
        )
        for field in fields(header_facts.HeaderFacts)
    }
    dated = (one.facts.acquired_on for one in ordered if one.patient == patient)
    first["acquired_on"] = next(filter(None, dated), None)
    return header_facts.HeaderFacts(**first)


def _conflict(slices: Sequence[Slice]) -> Fault | None:
    """Whether slices of one patient id, or without one, state different names or births."""
    people: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for one in slices:
        names = one.header.names
        # in normal form, as in the patient's id: two spellings are one id
        person = (normal_text(names.patient), normal_text(names.patient_issuer))
        known = people.setdefault(person, (set(), set()))
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
    # sorted, so that the same copy stays whatever the order of the files; of several the one that
    # says most
    for one in sorted(slices, key=lambda one: (blanks(one.header), one.token)):
        same = kept.setdefault(_description(one.header), [])
        if any(_is_copy(one, other) for other in same):
            dropped.add(one.token)
        else:
            same.append(one)
    left = [one for group in kept.values() for one in group]
    return left, sorted(dropped - {one.token for one in left})


def _description(header: SliceHeader) -> SliceHeader:
    """What copies of a slice have in common, to the letter."""
    return replace(
        header,
        names=replace(header.names, study_uid="", patient="", patient_issuer=""),
        sop_uid="",
        instance=0,
        content_at="",
        # compared for what they mean: see `agreeing`
        frame_of_reference="",
        image_type=(),
        kernel=(),
        kvp="",
        stack="",
        pixel_spacing=(),
        geometry=replace(header.geometry, pixel_spacing_mm=None),
    )


def _is_copy(one: Slice, other: Slice) -> bool:
    return (
        one.token != other.token
        and agreeing(one.header, other.header)
        and _equal(one.image, other.image)
    )


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


def _made(
    judged: _Judged,
    unreadable: Mapping[str, list[str]],
    owner: Callable[[Names], str],
    config: IngestConfig,
) -> tuple[list[Decoded], list[Reject]]:
    """The volume of a stack, and what of it is set aside.

    Which stack an unreadable file belonged to is unknown, so every stack of the series lacks it.
    """
    members, stack = judged.members, judged.stack
    sound = [one for one in members if isinstance(one.image, Rescaled)]
    refuse = config.incomplete == "refuse"
    # a file that is gone may come back: the series waits for it
    if GONE in unreadable or (unreadable and refuse):
        return [], _incomplete(members)
    rejects = _faulty(members)
    if rejects and (refuse or not sound):
        return [], rejects + (_incomplete(sound) if sound else [])
    if rejects:
        stack = replace(stack, proof=prove([one.header.geometry for one in sound], config))
    if isinstance(stack.proof, Fault):
        reason, detail = stack.proof.reason, stack.proof.detail
        return [], [*rejects, _reject("fault", reason, detail, sound if rejects else members)]
    if judged.lacks and refuse:
        detail = (
            f"{len(members)} slices of an incomplete scan: {judged.lacks}; expected all of them: "
            "send the series again, or set ingest.incomplete to flag"
        )
        return [], [_reject("fault", "incomplete_series", detail, members)]
    lacking = len(members) - len(sound) + sum(map(len, unreadable.values())) or bool(judged.lacks)
    made = _volume(sound, stack.proof, owner, config)
    if isinstance(made, Fault):
        return [], [*rejects, _reject("fault", made.reason, made.detail, sound)]
    noted = [f"joined_over_{keyword}={count}" for keyword, count in stack.joined_over]
    if lacking:
        noted.append(f"incomplete_series={int(lacking)}")
    return [replace(made, adjustments=(*made.adjustments, *noted))], rejects


def _faulty(members: Sequence[Slice]) -> list[Reject]:
    """Rejects of the slices of a stack whose images are faulty, by their fault."""
    by_fault: dict[str, list[Slice]] = {}
    for one in members:
        if isinstance(one.image, Fault):
            by_fault.setdefault(one.image.reason, []).append(one)
    rejects: list[Reject] = []
    for reason, faulty in sorted(by_fault.items()):
        example = min(one.image.detail for one in faulty if isinstance(one.image, Fault))
        detail = f"{len(faulty)} of {len(members)} slices: {example}"
        rejects.append(_reject("fault", reason, detail, faulty))
    return rejects


def _incomplete(members: Sequence[Slice]) -> list[Reject]:
    detail = (
        f"{len(members)} sound slice(s) of a stack that has others which cannot be used; "
        "expected all of them to be sound; mend or resend those"
    )
    return [_reject("fault", "incomplete_series", detail, members)]


def _volume(
    members: Sequence[Slice], proof: Grid, owner: Callable[[Names], str], config: IngestConfig
) -> Decoded | Fault:
    """The volume of slices with sound images; `owner` gives the patient's id of names."""
    bounds = check_bounds(proof.shape, proof.spacing_mm, config)
    if bounds:
        return bounds
    ordered = [members[number] for number in proof.order]
    images = [one.image for one in ordered if isinstance(one.image, Rescaled)]
    image_zyx = np.stack([image.image_hu for image in images])
    # before values far below air are set to it: they are what shows an intercept applied twice
    fault = check_plausible(image_zyx)
    if fault:
        return fault
    outside = out_of_field_to_air(image_zyx)
    unlike = check_neighbours(image_zyx, config)
    if isinstance(unlike, Fault):
        return unlike
    adjusted = {
        "padding_to_air": sum(image.padding for image in images),
        "out_of_field_to_air": outside,
        "clipped_to_int16": sum(image.clipped for image in images),
        "slices_unlike_neighbours": unlike,
    }
    names = tuple(dict.fromkeys(one.header.names for one in named_alike(ordered)))
    return Decoded(
        image_zyx=shear(image_zyx, proof) if proof.offsets_voxels else image_zyx,
        spacing_mm=proof.spacing_mm,
        affine_ras=proof.affine_ras,
        # the frames of a multi-frame file share a token
        source_files=tuple(dict.fromkeys(one.token for one in ordered)),
        rescale_decision="per_slice",
        names=names,
        facts=_facts(ordered, owner(names[0])),
        adjustments=tuple(f"{code}={count}" for code, count in adjusted.items() if count),
        tilt_degrees=round(proof.tilt_degrees, 3),
    )


def _reject(kind: str, reason: str, detail: str, members: Sequence[Slice]) -> Reject:
    return Reject(kind, reason, detail, tuple(sorted({one.token for one in members})))
