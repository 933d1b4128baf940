"""Whether the intensities under a class and its volume are those of such a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.segment.plausibility.remark import Remark, of, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.segment.plausibility.expected import Expected, Intensity
    from fvlm_data.segment.plausibility.measures import Measure

LEAST_VOXELS = 100
LEAST_ML = 1.0
"""Less of a class says nothing: its edge, where tissues mix, is all of it."""

LEAST_SHOWN_VOXELS = 20
LEAST_SHOWN_ML = 0.2
"""Less may be strays; more tells where a class lies, though not for certain."""

EDGE_VOXELS = 1000
"""Of a class of fewer voxels more than half are its edge, beside gas as likely as not: twice as
much of it may lie outside its range (the pancreas in slices of 6 mm: 300 voxels, 79 % within)."""

FAULT_ML = 10.0
FAULT_CLASSES = 3
"""From so much or so many on, classes of wrong intensity are the label map's fault, not theirs."""

SHOWN = 4


def enough(one: Measure) -> bool:
    """Whether there is enough of a class to judge it."""
    return one.voxels >= LEAST_VOXELS and one.ml >= LEAST_ML


def shown(one: Measure) -> bool:
    """Whether there is enough of a class to say where it lies."""
    return one.voxels >= LEAST_SHOWN_VOXELS and one.ml >= LEAST_SHOWN_ML


def intensity_remarks(measures: Mapping[str, Measure], expected: Expected) -> list[Remark]:
    """Classes whose intensities are none of theirs: a fault together, or a remark on each."""
    wrong = []
    for name, one in measures.items():
        told = expected.intensity(name)
        seen = wrong_intensity(one, told) if told and enough(one) else ""
        if seen:
            wrong.append((one, f"{name} ({one.ml:.0f} ml) {seen}"))
    if sum(one.ml for one, _ in wrong) >= FAULT_ML or len(wrong) >= FAULT_CLASSES:
        wrong.sort(key=lambda pair: -pair[0].ml)
        told_of = "; ".join(seen for _, seen in wrong[:SHOWN])
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        return [whole("hu_implausible", told_of + more)]
    return [of("hu_unusual", one.name, seen) for one, seen in wrong]


def air_remarks(structures: Mapping[str, Measure], expected: Expected) -> list[Remark]:
    """Lungs without air: one side is a remark, all that is shown a fault."""
    rule = expected.aerated
    sides = [name for name in ("lung_left", "lung_right") if name in structures] or ["lung"]
    seen_of = [
        structures[name]
        for name in sides
        if name in structures and structures[name].ml >= rule.least_ml and enough(structures[name])
    ]
    dense = [one for one in seen_of if one.share_within(-1100, rule.below_hu) < rule.share]
    seen = [
        f"{one.name} ({one.ml:.0f} ml) holds {100 * one.share_within(-1100, rule.below_hu):.0f} % "
        f"of air, median {one.quantile_hu(0.5):.0f} HU"
        for one in dense
    ]
    if len(dense) == len(seen_of) and sum(one.ml for one in dense) >= rule.fault_ml:
        return [whole("lungs_dense", "; ".join(seen))]
    return [of("dense", one.name, text) for one, text in zip(dense, seen, strict=True)]


def size_remarks(
    structures: Mapping[str, Measure],
    expected: Expected,
    age_years: float | None,
    sex: str | None,
) -> list[Remark]:
    """Volumes that no body or few bodies have, at the patient's age and sex."""
    remarks = []
    for name, size in expected.sizes.items():
        one = structures.get(name)
        if one is None or one.voxels < LEAST_VOXELS:
            continue
        share = expected.share_of_adult(age_years) if size.grows else 1.0
        # an unknown age may be a child's: nothing is too small then
        low_share = share if age_years is not None else 0.0
        least, most = size.possible_ml[0] * low_share, size.possible_ml[1] * max(share, 0.3)
        low, high = size.usual_of(sex)
        usual = (low * low_share, high * share)
        small, large = (not one.cut and one.ml < least), one.ml > most
        age = "" if age_years is None else f" at {age_years:.0f} years"
        age += f", sex {sex}" if sex in ("F", "M") else ""
        if small or large:
            seen = f"{name} of {one.ml:,.0f} ml, possible {least:,.0f} to {most:,.0f} ml{age}"
            remarks.append(of("volume_impossible", name, seen))
        elif one.ml > usual[1] or (not one.cut and one.ml < usual[0]):
            seen = f"{name} of {one.ml:,.0f} ml, usual {usual[0]:,.0f} to {usual[1]:,.0f} ml{age}"
            remarks.append(of("volume_unusual", name, seen))
    for large_one, small_one in expected.larger:
        one, other = structures.get(large_one), structures.get(small_one)
        if one and other and not one.cut and enough(one) and enough(other) and one.ml < other.ml:
            seen = f"{large_one} ({one.ml:.0f} ml) is smaller than {small_one} ({other.ml:.0f} ml)"
            remarks.append(of("size_order", large_one, seen))
    return remarks


def wrong_intensity(one: Measure, told: Intensity) -> str:
    """What of a class's intensities is none of its; empty where all is."""
    median = one.quantile_hu(0.5)
    if told.median_hu and not told.median_hu[0] <= median <= told.median_hu[1]:
        low, high = told.median_hu
        return f"has a median of {median:.0f} HU, expected {low:.0f} to {high:.0f}"
    if told.within_hu:
        share = one.share_within(*told.within_hu)
        expected = 1 - (1 - told.share) * (2 if one.voxels < EDGE_VOXELS else 1)
        if share < expected:
            low, high = told.within_hu
            return (
                f"has {100 * share:.0f} % of its voxels from {low:.0f} to {high:.0f} HU, expected "
                f"{100 * expected:.0f} % at least"
            )
    if told.dense_hu is not None and one.quantile_hu(0.9) < told.dense_hu:
        return f"has 90 % of its voxels below {one.quantile_hu(0.9):.0f} HU, expected bone"
    return ""
