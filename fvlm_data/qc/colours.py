"""Colours of anatomies: places in the palette of assets/palette.css."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.vocabulary import Vocabulary

PLACES = 12
"""Colours of the palette; more could not be told apart, so names stand beside them."""


@cache
def palette_rgb() -> np.ndarray[Any, Any]:
    """Uint8 (PLACES, 3): red, green and blue of each place."""
    css = resources.files("fvlm_data.qc").joinpath("assets", "palette.css").read_text("utf-8")
    found = dict(re.findall(r"--c(\d+): #([0-9a-f]{6})", css))
    return np.array([list(bytes.fromhex(found[str(one)])) for one in range(PLACES)], np.uint8)


def colour_places(vocabulary: Vocabulary) -> Mapping[str, int]:
    """The colour of each anatomy, the same on all pages; those of training come first."""
    ordered = dict.fromkeys((*vocabulary.trained, *vocabulary.imaged))
    ordered |= dict.fromkeys(anatomy.id for anatomy in vocabulary.anatomies)
    return {anatomy: place % PLACES for place, anatomy in enumerate(ordered)}
