"""Colours of anatomies: places in the palette of assets/palette.css."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.vocabulary import Vocabulary

PLACES = 12
"""Colours of the palette; more could not be told apart, so names stand beside them."""


def colour_places(vocabulary: Vocabulary) -> Mapping[str, int]:
    """The colour of each anatomy, the same on all pages; those of training come first."""
    ordered = dict.fromkeys((*vocabulary.trained, *vocabulary.imaged))
    ordered |= dict.fromkeys(anatomy.id for anatomy in vocabulary.anatomies)
    return {anatomy: place % PLACES for place, anatomy in enumerate(ordered)}
