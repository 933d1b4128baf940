"""Synthetic patients: who they are, when they are scanned, what they have at each scan."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.phantom.catalogue import ANATOMIES, GROUPS, KIND, KINDS, FindingKind
from fvlm_data.phantom.draws import chance, gauss, pick, shuffled, stream, uid, uniform, weighted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

_FAMILY = [
    "Alder",
    "Birch",
    "Calloway",
    "Dunmore",
    "Eskildsen",
    "Farnworth",
    "Galbraith",
    "Hollis",
    "Ivarsson",
    "Jessup",
    "Kestrel",
    "Lindqvist",
    "Marlowe",
    "Norrington",
    "Okonjo",
    "Pemberton",
    "Quillfeather",
    "Rosewood",
    "Satterlee",
    "Thackeray",
    "Umarov",
    "Vandermeer",
    "Winterbourne",
    "Yarrow",
    "Zellweger",
    "Aydemir",
    "Bozkurt",
    "Çelikkol",
    "Demirtaş",
    "Karabulut",
    "Özyürek",
    "Şahinbaş",
    "Yildiran",
]
_GIVEN_F = [
    "Ada",
    "Beatrix",
    "Clara",
    "Delia",
    "Elif",
    "Freya",
    "Greta",
    "Hazel",
    "Ines",
    "Juna",
    "Leyla",
    "Mira",
    "Nora",
    "Selin",
]
_GIVEN_M = [
    "Aldo",
    "Bruno",
    "Cyril",
    "Doruk",
    "Emre",
    "Felix",
    "Gustav",
    "Hugo",
    "Ivo",
    "Jonas",
    "Kerem",
    "Levent",
    "Milo",
    "Otis",
]

_BODY_MM = {
    "adrenal_gland": (262.0, 292.0),
    "aorta": (128.0, 432.0),
    "bladder": (2.0, 70.0),
    "colon": (30.0, 220.0),
    "esophagus": (300.0, 500.0),
    "gallbladder": (188.0, 248.0),
    "heart": (315.0, 415.0),
    "kidney": (160.0, 280.0),
    "liver": (190.0, 335.0),
    "lung": (275.0, 505.0),
    "pancreas": (215.0, 265.0),
    "portal_vein": (222.0, 268.0),
    "sacrum": (12.0, 108.0),
    "small_intestine": (75.0, 195.0),
    "spleen": (230.0, 330.0),
    "stomach": (215.0, 325.0),
}
"""Lowest and highest z of each anatomy in a body of stature 1."""

_NEEDED = 0.6
"""Share of an anatomy's height that must lie in the field of view to count as imaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A finding of one scan: side (or None), size in mm (or None), severity from 0 to 1."""

    kind: FindingKind
    laterality: str | None
    size_mm: float | None
    severity: float

    @property
    def grade(self) -> str:
        """Severity in words."""
        return "mild" if self.severity < 0.45 else "moderate" if self.severity < 0.8 else "severe"

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides that show it, in words; empty where a side means nothing."""
        if self.laterality is None:
            return ()
        return ("left", "right") if self.laterality == "bilateral" else (self.laterality,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One visit: what was scanned, with which contrast, and what is seen there."""

    patient: int
    order: int
    study_uid: str
    accession: str
    date: dt.date
    protocol: str
    phase: str
    low_mm: float
    high_mm: float
    findings: Mapping[str, Present]
    imaged: tuple[str, ...]
    has_images: bool = True
    has_report: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A synthetic person with one to three studies."""

    index: int
    seed: int
    patient_id: str
    name: str
    sex: str
    birth_date: dt.date
    stature: float
    studies: tuple[Study, ...]


def draw_patient(seed: int, index: int) -> Patient:
    """Draw patient `index` (0-based) of a seed."""
    rng = stream(seed, index, 0)
    sex = pick(rng, ("F", "M"))
    given = pick(rng, _GIVEN_F if sex == "F" else _GIVEN_M)
    name = f"{pick(rng, _FAMILY)}^{given}"
    age = gauss(rng, 58.0, 15.0)
    first = dt.date(2015, 1, 1) + dt.timedelta(days=int(uniform(rng, 0, 3000)))
    birth = first - dt.timedelta(days=int(age * 365.25 + uniform(rng, 0, 365)))
    stature = gauss(rng, 1.0, 0.035) + (0.02 if sex == "M" else -0.02)
    number = int(uid("patient", seed, index)[-9:])
    count = weighted(rng, ((1, 0.58), (2, 0.27), (3, 0.15)))
    courses = _courses(stream(seed, index, 1), age, count)
    studies, date = [], first
    for order, course in enumerate(courses):
        studies.append(_study(seed, index, order, date, stature, course))
        date += dt.timedelta(days=int(uniform(rng, 20, 500)))
    return Patient(
        index=index,
        seed=seed,
        patient_id=f"PH{number:09d}",
        name=name,
        sex=sex,
        birth_date=birth,
        stature=stature,
        studies=tuple(studies),
    )


def _courses(rng: np.random.Generator, age: float, count: int) -> list[dict[str, Present]]:
    """Draw what the patient has at each of `count` scans, whether imaged or not."""
    traits = {group: float(rng.random()) for group in GROUPS}
    traits["age"] = 0.5 * traits["age"] + 0.5 * min(1.0, max(0.0, (age - 25.0) / 65.0))
    courses: list[dict[str, Present]] = [{} for _ in range(count)]
    for kind in KINDS:
        chances = [0.5 + traits[group] for group in kind.groups] or [1.0]
        raised = kind.prevalence * sum(chances) / len(chances)
        for course, present in zip(courses, _course(rng, kind, raised, count), strict=True):
            if present is not None:
                course[kind.finding] = present
    return [_consistent(course) for course in courses]


def _course(
    rng: np.random.Generator, kind: FindingKind, probability: float, count: int
) -> list[Present | None]:
    """Draw one finding over the scans: it stays and changes, comes late, or (some) goes."""
    # a power above 1: mild findings are more frequent than severe ones
    severity = float(rng.random()) ** 1.2
    side = weighted(rng, (("left", 0.42), ("right", 0.42), ("bilateral", 0.16)))
    if kind.finding in ("kidney_absent", "kidney_atrophy", "pneumothorax") and side == "bilateral":
        side = "right"
    here = chance(rng, probability)
    line: list[Present | None] = []
    for order in range(count):
        # drawn whether needed or not: the number of draws must not depend on what the patient has
        change, arrives, leaves = gauss(rng, 0.05, 0.08), rng.random(), rng.random()
        if order and here:
            severity = min(1.0, max(0.02, severity + change))
            here = not (kind.transient and leaves < 0.45)
        elif order:
            here = arrives < 0.15 * probability
        size = None
        if kind.size_mm is not None:
            low, high = kind.size_mm
            size = round(low + (high - low) * severity**1.3, 1)
        found = Present(
            kind=kind, laterality=side if kind.sided else None, size_mm=size, severity=severity
        )
        line.append(found if here else None)
    return line


def _consistent(course: dict[str, Present]) -> dict[str, Present]:
    """Remove what an absent organ rules out; move kidney findings to the remaining kidney."""
    for present in list(course.values()):
        for other in present.kind.excludes:
            course.pop(other, None)
    gone = course.get("kidney_absent")
    if gone is not None:
        left = "left" if gone.laterality == "right" else "right"
        course.pop("kidney_atrophy", None)
        for finding, present in course.items():
            if present.kind.anatomy == "kidney" and present is not gone:
                course[finding] = Present(
                    kind=present.kind,
                    laterality=left,
                    size_mm=present.size_mm,
                    severity=present.severity,
                )
    return course


def _study(
    seed: int,
    index: int,
    order: int,
    date: dt.date,
    stature: float,
    course: Mapping[str, Present],
) -> Study:
    rng = stream(seed, index, 2, order)
    protocol = weighted(rng, (("chest", 0.37), ("abdomen", 0.40), ("both", 0.23)))
    low, high = _field(rng, protocol)
    if protocol == "chest":
        phase = weighted(rng, (("none", 0.5), ("arterial", 0.3), ("portal", 0.2)))
    else:
        phase = weighted(rng, (("none", 0.25), ("arterial", 0.15), ("portal", 0.6)))
    imaged = tuple(name for name in ANATOMIES if _is_imaged(name, low, high))
    number = int(uid("accession", seed, index, order)[-8:])
    lost = float(rng.random())
    return Study(
        patient=index,
        order=order,
        study_uid=uid("study", seed, index, order),
        accession=f"A{number:08d}",
        date=date,
        protocol=protocol,
        phase=phase,
        low_mm=low * stature,
        high_mm=high * stature,
        findings={
            name: present for name, present in course.items() if present.kind.anatomy in imaged
        },
        imaged=imaged,
        has_report=lost >= 0.02,
    )


def _field(rng: np.random.Generator, protocol: str) -> tuple[float, float]:
    """Draw the lowest and highest z (mm, stature 1) of a scan."""
    bottom = uniform(rng, -6.0, 6.0) if chance(rng, 0.9) else uniform(rng, 95.0, 125.0)
    if protocol == "chest":
        bottom = uniform(rng, 180.0, 235.0)
    top = uniform(rng, 505.0, 525.0)
    if protocol == "abdomen":
        top = uniform(rng, 318.0, 350.0)
    return bottom, top


def _is_imaged(anatomy: str, low: float, high: float) -> bool:
    bottom, top = _BODY_MM[anatomy]
    seen = min(top, high) - max(bottom, low)
    return seen >= _NEEDED * (top - bottom)


def ghost_study(seed: int, index: int) -> Study | None:
    """Draw, for a few patients, a report whose images never came.

    Its findings are those of the report alone; no anatomy is imaged.
    """
    rng = stream(seed, index, 3)
    if not chance(rng, 0.015):
        return None
    order = 90
    some = shuffled(rng, [kind.finding for kind in KINDS if kind.anatomy == "lung"])[:1]
    present = {
        name: Present(
            kind=KIND[name],
            laterality="right" if KIND[name].sided else None,
            size_mm=None,
            severity=0.4,
        )
        for name in some
    }
    return Study(
        patient=index,
        order=order,
        study_uid=uid("study", seed, index, order),
        accession=f"A{int(uid('accession', seed, index, order)[-8:]):08d}",
        date=dt.date(2015, 1, 1) + dt.timedelta(days=int(uniform(rng, 0, 3000))),
        protocol="chest",
        phase="none",
        low_mm=180.0,
        high_mm=510.0,
        findings=present,
        imaged=(),
        has_images=False,
    )
