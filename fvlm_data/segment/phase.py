"""Contrast phase of a volume by the HU in its vessels and kidneys, and how sure it is.

Where the lines come from: blood without contrast medium lies at 30 to 65 HU. In the arterial phase
(15 to 40 s) the aorta is far denser than the portal vein and denser than 200 HU; in the portal
venous one (60 to 80 s) both lie at 100 to 200 HU; from some three minutes on the kidneys excrete,
their pelvis and the bladder are denser than any vessel (Bae, Radiology 256:32, 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ENHANCED_HU = 100
UNENHANCED_HU = 75

ARTERIAL_RATIO = 1.5
"""Aorta over portal vein, HU, from which on the contrast medium is still in the arteries."""

ARTERIAL_AORTA_HU = 250
"""An aorta that dense is arterial where no portal vein is shown."""

URINE_HU = 300
URINE_OVER_BLOOD = 1.5
"""Urine with contrast medium is that dense, and so much denser than the blood."""

SURE = 2.0
"""How far beyond a line, as a factor, nothing is doubtful; at the line confidence is one half."""

ALONE = 0.75
"""Confidence is no higher where one vessel alone tells the phase."""


@dataclass(frozen=True, slots=True)
class Phase:
    """`name` is unenhanced, arterial, portal_venous, delayed or unknown; `confidence` 0 to 1."""

    name: str
    confidence: float


FLAGGED = ("arterial", "portal_venous", "delayed")

UNKNOWN = Phase("unknown", 0.0)


def contrast(vessels_hu: Mapping[str, float]) -> str:
    """Enhanced, unenhanced or unknown, by the median HU of aorta and portal vein.

    Blood without contrast medium lies at 30 to 65 HU, with it above 100 HU in at least one of
    the two vessels in every phase but the latest. A portal vein alone does not prove that there
    is no contrast: in the arterial phase it is dark.
    """
    if vessels_hu and max(vessels_hu.values()) >= ENHANCED_HU:
        return "enhanced"
    if (
        vessels_hu.get("aorta", ENHANCED_HU) <= UNENHANCED_HU
        and max(vessels_hu.values()) <= UNENHANCED_HU
    ):
        return "unenhanced"
    return "unknown"


def phase_of(vessels_hu: Mapping[str, float], urine_hu: float | None) -> Phase:
    """Phase by the median HU of `aorta` and `portal_vein`, where shown, and the densest urine."""
    told = contrast(vessels_hu)
    if told == "unenhanced":
        highest = max(*vessels_hu.values(), 1.0)
        sure = Phase("unenhanced", _confidence(UNENHANCED_HU / highest))
        # contrast medium in the urine and not in the blood: hours after it was given
        return UNKNOWN if urine_hu is not None and urine_hu >= URINE_HU else sure
    if told == "unknown":
        return UNKNOWN
    aorta, portal = vessels_hu.get("aorta"), vessels_hu.get("portal_vein")
    blood = max(vessels_hu.values())
    if urine_hu is not None and urine_hu >= max(URINE_HU, URINE_OVER_BLOOD * blood):
        return Phase("delayed", _confidence(urine_hu / max(URINE_HU, URINE_OVER_BLOOD * blood)))
    if aorta is None:
        return UNKNOWN
    if portal is None:
        alone = min(ALONE, _confidence(aorta / ARTERIAL_AORTA_HU))
        return Phase("arterial", alone) if aorta >= ARTERIAL_AORTA_HU else UNKNOWN
    ratio = aorta / max(portal, 1.0)
    if ratio >= ARTERIAL_RATIO:
        return Phase("arterial", _confidence(ratio / ARTERIAL_RATIO))
    if portal >= ENHANCED_HU:
        return Phase(
            "portal_venous", _confidence(min(ARTERIAL_RATIO / ratio, portal / UNENHANCED_HU))
        )
    return UNKNOWN


def phase_flags(vessels_hu: Mapping[str, float], told: Phase) -> set[str]:
    """The flag `phase_arterial` or the like, of a volume that shows both vessels."""
    if len(vessels_hu) < 2 or told.name not in FLAGGED:
        return set()
    return {f"phase_{told.name}"}


def _confidence(beyond: float) -> float:
    """From 0.5 at a line to 1.0 at `SURE` times it."""
    return round(min(1.0, 0.5 + 0.5 * math.log(max(beyond, 1.0)) / math.log(SURE)), 3)
