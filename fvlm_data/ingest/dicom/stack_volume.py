"""The stacks of a series to volumes, or why one is refused."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.dicom import header as header_facts
from fvlm_data.ingest.dicom.contradictions import check_aspect, contradictions
from fvlm_data.ingest.dicom.people import conflict_of_people, named_alike
from fvlm_data.ingest.dicom.slice_file import GONE
from fvlm_data.ingest.volume.bounds import check_bounds
from fvlm_data.ingest.volume.completeness import announced_more, set_aside_next_to, thinned
from fvlm_data.ingest.volume.geometry import Fault, Grid, prove
from fvlm_data.ingest.volume.hounsfield import Rescaled, out_of_field_to_air
from fvlm_data.ingest.volume.outlier_slices import check_neighbours
from fvlm_data.ingest.volume.rescale_step import rescale_step
from fvlm_data.ingest.volume.result import Decoded
from fvlm_data.ingest.volume.slice_order import may_show_steps
from fvlm_data.ingest.volume.stacks.grouping import stacks
from fvlm_data.ingest.volume.stacks.stack import Stack
from fvlm_data.ingest.volume.tilt import shear
from fvlm_data.ingest.volume.voxels import check_voxels
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.dicom.slice_file import Slice
    from fvlm_data.ingest.volume.names import Names


@dataclass(frozen=True, slots=True)
class JudgedStack:
    """A stack of a series: its slices, the proof, and what its scan lacks (empty: nothing)."""

    members: Sequence[Slice]
    stack: Stack
    lacks: str


def judged_stacks(slices: Sequence[Slice], config: IngestConfig) -> Iterator[JudgedStack]:
    """The stacks of a series; refused as a whole if its headers give one id to two people."""
    conflict = conflict_of_people(slices)
    if conflict:
        yield JudgedStack(slices, Stack(tuple(range(len(slices))), conflict), "")
        return
    headers = [one.header for one in slices]
    found = stacks(headers, config)
    for stack in found:
        beside = set_aside_next_to(stack, found, headers)
        lacks = announced_more(stack.members, headers) or thinned(stack, headers)
        if beside:
            lacks = f"{beside} slice(s) next to its end are set aside"
        yield JudgedStack([slices[number] for number in stack.members], stack, lacks)


def volumes_of(
    judged: JudgedStack,
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
    ordered = [members[number] for number in proof.order]
    headers = [one.header for one in ordered]
    fault = check_bounds(proof.shape, proof.spacing_mm, config) or check_aspect(headers)
    if fault:
        return fault
    images = [one.image for one in ordered if isinstance(one.image, Rescaled)]
    image_zyx = np.stack([image.image_hu for image in images])
    # before values far below air are set to it: they are what shows an intercept applied twice
    off = check_voxels(image_zyx, config)
    if isinstance(off, Fault):
        return off
    outside = out_of_field_to_air(image_zyx)
    if isinstance(outside, Fault):
        return outside
    # what a wrong header does to a slice is told as that
    step = rescale_step(image_zyx, [one.stored for one in headers])
    if step:
        return step
    unlike = check_neighbours(image_zyx, config, steps=may_show_steps(proof.affine_ras))
    if isinstance(unlike, Fault):
        return unlike
    adjusted = {
        "padding_to_air": sum(image.padding for image in images),
        "out_of_field_to_air": outside,
        "clipped_to_int16": sum(image.clipped for image in images),
        **off,
        **unlike,
        **contradictions(headers, proof),
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


def _reject(kind: str, reason: str, detail: str, members: Sequence[Slice]) -> Reject:
    return Reject(kind, reason, detail, tuple(sorted({one.token for one in members})))
