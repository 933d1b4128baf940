"""The regions of a volume: anatomies and classes that its label maps show."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fvlm_data.radiomics.config import RadiomicsConfig
    from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Region:
    """A region: its kind (anatomy, class) and name, its label map and the values in it."""

    kind: str
    name: str
    path: str
    values: tuple[int, ...]

    def mask(self, labels: Array) -> Array:
        """Bool (i, j, k) of the region in its label map."""
        if len(self.values) == 1:
            return np.asarray(labels == self.values[0])
        return np.isin(labels, self.values)


def regions_of(
    masks: Sequence[Row],
    config: RadiomicsConfig,
    vocabulary: Vocabulary,
    distrusted: Collection[str] = (),
) -> list[Region]:
    """Regions from a volume's rows of table masks, by kind and name.

    Of tasks that show one anatomy or class, that which shows most of it serves. Anatomies in
    `distrusted`, whose mask is wrong by review, are none, and their classes neither.
    """
    found: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in masks:
        anatomies = _anatomies(row, vocabulary)
        if anatomies.intersection(distrusted):
            continue
        for anatomy in anatomies.intersection(config.anatomies):
            found["anatomy", anatomy][row["path"]].append(row)
        if any(fnmatchcase(row["class_name"], form) for form in config.classes):
            found["class", row["class_name"]][row["path"]].append(row)
    made = []
    for (kind, name), by_path in sorted(found.items()):
        path, rows = max(by_path.items(), key=lambda one: (_ml(one[1]), one[0]))
        values = tuple(sorted(row["class_value"] for row in rows))
        made.append(Region(kind, name, path, values))
    return made


def is_banded(region: Region, config: RadiomicsConfig) -> bool:
    """Whether shares of HU bands are told of a region."""
    return any(fnmatchcase(region.name, form) for form in config.band_regions)


def _anatomies(row: Mapping[str, Any], vocabulary: Vocabulary) -> set[str]:
    of_system = vocabulary.classes_of(row["class_system"])
    return {anatomy for anatomy, names in of_system.items() if row["class_name"] in names}


def _ml(rows: Sequence[Row]) -> float:
    return float(sum(row["volume_ml"] for row in rows))
