"""Classes by the names of the expectations, and the structures that they make up."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from fvlm_data.segment.plausibility.measures import together

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.segment.plausibility.expected import Expected
    from fvlm_data.segment.plausibility.measures import Measure


def structures_of(measures: Mapping[str, Measure], expected: Expected) -> dict[str, Measure]:
    """Classes by the names of the expectations, and the structures that they make up."""
    found = {}
    for name, one in measures.items():
        canonical = expected.canonical(name)
        named = together(canonical, [one])
        if named:
            found[canonical] = named
    for structure, parts in expected.structures.items():
        if structure in found:
            continue
        made = together(
            structure,
            [one for name, one in found.items() if any(fnmatchcase(name, p) for p in parts)],
        )
        if made:
            found[structure] = made
    return found
