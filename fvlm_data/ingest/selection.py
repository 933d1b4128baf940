"""Section `select`: which of a study's proved volumes are taken, and why not the others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from fvlm_data.ingest.dicom.header_words import kernel_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Phase = Literal["no", "yes", "arterial", "portal_venous", "delayed", "unknown"]

AXIAL_COSINE = 0.8
"""Least cosine of slice normal and patient axis: a tilted gantry is still axial."""

COVERED = 0.5
"""A volume competes with another that covers at least this share of its own range."""

RANK_OF_KERNEL = {"soft": 0, None: 1}


class SelectConfig(BaseModel):
    """Which of the reconstructions of a study are taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Literal["all", "thinnest_soft_tissue_axial"] = Field(
        default="all",
        description="all: every volume that the patterns below let pass. "
        "thinnest_soft_tissue_axial: of those, axial ones without a sharp kernel, one for each "
        "one_per: a known soft-tissue kernel first, then the thinnest slices, the longest range",
    )
    parted_scans: Literal["refuse", "flag", "accept"] = Field(
        default="refuse",
        description="what becomes of volumes of two series of a study that together are one even "
        "grid, of one size, kernel, contrast and day: parts of one scan under UIDs of their own. "
        "refuse sets them aside, flag tells parted_scan in `volumes.adjustments`, accept does not "
        "look",
    )
    one_per: Literal["range_and_phase", "study"] = Field(
        default="range_and_phase",
        description="what the thinnest is picked from: volumes that cover the same range in the "
        "same contrast phase (one is left out if a better one covers half of its own range or "
        "more), or the whole study",
    )
    kernels: tuple[str, ...] = Field(
        default=(), description="patterns (regular expressions); a kernel must match one as a whole"
    )
    phases: tuple[Phase, ...] = Field(
        default=(), description="contrast_header must be one of them (unknown: none is told)"
    )
    descriptions: tuple[str, ...] = Field(
        default=(), description="patterns; series_description must hold one, upper case or lower"
    )
    not_descriptions: tuple[str, ...] = Field(
        default=(), description="patterns; series_description must hold none of them"
    )

    @field_validator("kernels", "descriptions", "not_descriptions")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return patterns


@dataclass(frozen=True, slots=True)
class ProvedVolume:
    """What the choice looks at; `low_mm` to `high_mm` is the range along the patient's axis."""

    volume_id: str
    kernel: str | None
    phase: str
    description: str
    slice_mm: float
    axial: bool
    low_mm: float
    high_mm: float

    @property
    def length_mm(self) -> float:
        """Length of the range."""
        return self.high_mm - self.low_mm


@dataclass(frozen=True, slots=True)
class NotSelected:
    """Why a volume was not picked."""

    reason: str
    detail: str


def candidate(row: Mapping[str, Any]) -> ProvedVolume:
    """A candidate from its row.

    The slices of a DICOM series lie along k; a file that holds a whole volume does not say how it
    was scanned and counts as axial.
    """
    affine = np.array(row["affine_ras"], np.float64).reshape(4, 4)
    directions = np.abs(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    slices = row["rescale_decision"] == "per_slice"
    # a file does not say which axis the slices lie along: the one nearest to the patient's length
    # is taken
    axis = 2 if slices else int(np.argmax(directions[2]))
    # outer corners of the outermost voxels: indices are voxel centres
    corners = np.array(list(np.ndindex(2, 2, 2))) * row["shape"] - 0.5
    heights_mm = corners @ affine[2, :3] + affine[2, 3]
    return ProvedVolume(
        volume_id=row["volume_id"],
        kernel=row["kernel"],
        phase=row["contrast_header"] or "unknown",
        description=row["series_description"] or "",
        # rounded, so that rounding in the headers does not decide which reconstruction is thinnest
        slice_mm=round(float(row["spacing_mm"][axis]), 2),
        axial=not slices or bool(directions[2, axis] >= AXIAL_COSINE),
        low_mm=float(heights_mm.min()),
        high_mm=float(heights_mm.max()),
    )


def choose(candidates: Iterable[ProvedVolume], config: SelectConfig) -> dict[str, NotSelected]:
    """Candidates of one study that are not picked, by volume id.

    The same for the same candidates, in whatever order they come.
    """
    refused: dict[str, NotSelected] = {}
    passed: list[ProvedVolume] = []
    for one in sorted(candidates, key=lambda one: one.volume_id):
        why = _by_pattern(one, config)
        if why is None and config.policy != "all":
            why = _by_kind(one)
        if why is None:
            passed.append(one)
        else:
            refused[one.volume_id] = why
    if config.policy == "all":
        return refused
    return refused | _all_but_thinnest(passed, config)


def _by_pattern(one: ProvedVolume, config: SelectConfig) -> NotSelected | None:
    kernels = config.kernels
    if kernels and not any(re.fullmatch(p, one.kernel or "") for p in kernels):
        return _refusal(one, "kernel_not_selected", f"kernel {one.kernel}", "select.kernels")
    if config.phases and one.phase not in config.phases:
        return _refusal(one, "phase_not_selected", f"contrast {one.phase}", "select.phases")

    def held(patterns: Sequence[str]) -> bool:
        return any(re.search(p, one.description, re.IGNORECASE) for p in patterns)

    told = f"description {one.description!r}"
    if config.descriptions and not held(config.descriptions):
        return _refusal(one, "description_not_selected", told, "select.descriptions")
    if held(config.not_descriptions):
        return _refusal(one, "description_not_selected", told, "select.not_descriptions")
    return None


def _by_kind(one: ProvedVolume) -> NotSelected | None:
    if not one.axial:
        return _refusal(one, "not_axial", "its slices are not axial", "select.policy")
    if kernel_kind(one.kernel) == "sharp":
        told = f"kernel {one.kernel} is a sharp one"
        return _refusal(one, "kernel_not_soft_tissue", told, "select.policy")
    return None


def _refusal(one: ProvedVolume, reason: str, found: str, setting: str) -> NotSelected:
    detail = f"Volume {one.volume_id}: {found}, which {setting} does not pick"
    return NotSelected(reason, detail)


def _all_but_thinnest(
    candidates: Sequence[ProvedVolume], config: SelectConfig
) -> dict[str, NotSelected]:
    longest = max((one.length_mm for one in candidates), default=0.0)
    whole_study = config.one_per == "study"

    def rank(one: ProvedVolume) -> tuple[Any, ...]:
        short = whole_study and one.length_mm < COVERED * longest  # a test bolus, a few thin slices
        kernel = RANK_OF_KERNEL[kernel_kind(one.kernel)]
        return (short, kernel, one.slice_mm, -round(one.length_mm), one.volume_id)

    taken: list[ProvedVolume] = []
    refused: dict[str, NotSelected] = {}
    for one in sorted(candidates, key=rank):
        better = next((other for other in taken if whole_study or _compete(one, other)), None)
        if better is None:
            taken.append(one)
            continue
        detail = (
            f"Volume {one.volume_id}: slices every {one.slice_mm:g} mm over {one.length_mm:.0f} "
            f"mm, kernel {one.kernel}; volume {better.volume_id} was chosen (every "
            f"{better.slice_mm:g} mm over {better.length_mm:.0f} mm, kernel {better.kernel})"
        )
        refused[one.volume_id] = NotSelected("another_reconstruction", detail)
    return refused


def _compete(one: ProvedVolume, other: ProvedVolume) -> bool:
    shared = min(one.high_mm, other.high_mm) - max(one.low_mm, other.low_mm)
    # of its own range, not of the shorter one: a few thin slices of a test bolus must not stand for
    # the whole scan that they lie in
    return one.phase == other.phase and shared >= COVERED * one.length_mm
