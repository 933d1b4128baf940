"""ImageType (DICOM PS3.3 C.8.2.1.1.1): what is no slice of a CT as reconstructed, in HU."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OUT_OF_SCOPE_TYPES = {
    "LOCALIZER": "localizer",
    "SCOUT": "localizer",
    "TOPOGRAM": "localizer",
    "MIP": "projection",
    "MINIP": "projection",
    "MAX_IP": "projection",
    "MIN_IP": "projection",
    "PROJECTION IMAGE": "projection",
    "SCREEN SAVE": "secondary_capture",
    "MPR": "reformatted",
    "CSA MPR": "reformatted",
    "REFORMATTED": "reformatted",
    "RESAMPLED": "reformatted",
    "PERFUSION": "derived_map",
    "CBF": "derived_map",
    "CBV": "derived_map",
    "MTT": "derived_map",
    "TTP": "derived_map",
    "TMAX": "derived_map",
    "CALCIUM_SCORE": "derived_map",
    "IODINE": "derived_map",
    "MATERIAL_SPECIFIC": "derived_map",
    "MATERIAL_FRACTION": "derived_map",
    "ELECTRON_DENSITY": "derived_map",
    "EFF_ATOMIC_NUM": "derived_map",
    "RHO": "derived_map",
}
"""Whole values, defined terms and those of vendors."""

WORDS = {
    "MIP": "projection",
    "MINIP": "projection",
    "MAXIP": "projection",
    "VRT": "projection",
    "RENDERING": "projection",
    "MPR": "reformatted",
    "CBF": "derived_map",
    "CBV": "derived_map",
    "PBV": "derived_map",
    "MTT": "derived_map",
    "TTP": "derived_map",
    "TTD": "derived_map",
    "TMAX": "derived_map",
    "IODINE": "derived_map",
    "SUBTRACTION": "derived_map",
    "SUBTRACTED": "derived_map",
    "RHO": "derived_map",
    "ZEFF": "derived_map",
}
"""Words within a value, as vendors put them together (MIP THIN, DE_IODINE, RHO Z)."""

EFFECTIVE_Z = {"EFFECTIVE", "Z"}


def excluded(values: Iterable[str]) -> tuple[str, str] | None:
    """Reason and word by which images of these values are none of ours; None: they are."""
    for value in values:
        name = value.strip().upper()
        if name in OUT_OF_SCOPE_TYPES:
            return OUT_OF_SCOPE_TYPES[name], name
        words = set(re.split(r"[^A-Z0-9]+", name))
        for word in sorted(words & WORDS.keys()):
            return WORDS[word], word
        if words >= EFFECTIVE_Z:
            return "derived_map", "EFFECTIVE Z"
    return None
