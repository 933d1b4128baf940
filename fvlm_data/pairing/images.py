"""What the masks of a study's volumes show: organs in ml, regions, cardiothoracic ratio."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fvlm_data.vocabulary import Vocabulary

VOLUME_COLUMNS = ("volume_id", "shape", "orientation", "age_years")
MASK_COLUMNS = (
    "volume_id", "task", "class_system", "class_name", "volume_ml", "bbox", "touches_border",
)  # fmt: skip
CHECK_COLUMNS = ("volume_id", "body_region", "searched")
"""All that is read of volumes, their masks and checks: a remade mask with the same values in these
columns changes nothing."""

SIDES = ("left", "right")

RATIO_OF = ("heart", "lung")
"""What the cardiothoracic ratio is measured by."""

ADULT_YEARS = 16
"""From this age on organs are measured as those of adults; so are patients of unknown age."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An organ, or one side of it, in one volume; `whole` where it touches no face of it."""

    volume_id: str
    ml: float
    whole: bool


@dataclass(frozen=True, slots=True)
class StudyImages:
    """What all volumes of a study show together.

    `organs` holds sightings by anatomy and side ("" for the whole), `regions` body regions of
    the volumes, none where any is unknown. `searched` are the anatomies that the masks of every
    volume could show: the absence of any other proves nothing. `heart_ratio` is (volume,
    cardiothoracic ratio); `adult`, whether sizes of adults apply.
    """

    organs: Mapping[tuple[str, str], Sequence[Seen]] = field(default_factory=dict)
    regions: frozenset[str] = frozenset()
    searched: frozenset[str] = frozenset()
    heart_ratio: tuple[str, float] | None = None
    adult: bool = True

    def largest(self, anatomy: str, side: str = "") -> Seen | None:
        """The largest sighting of an organ or side, whole or not."""
        return max(self.organs.get((anatomy, side), ()), key=lambda seen: seen.ml, default=None)

    def whole(self, anatomy: str) -> Seen | None:
        """The largest sighting of an organ that no face of a volume cuts."""
        seen = [one for one in self.organs.get((anatomy, ""), ()) if one.whole]
        return max(seen, key=lambda one: one.ml, default=None)

    def lacks(self, anatomy: str) -> bool:
        """Whether no volume shows any of the anatomy though each was searched for it."""
        return anatomy in self.searched and (anatomy, "") not in self.organs


def images_of_rows(
    volumes: Sequence[Mapping[str, Any]],
    masks: Sequence[Mapping[str, Any]],
    checks: Sequence[Mapping[str, Any]],
    vocabulary: Vocabulary,
    distrusted: Collection[tuple[str, str]] = (),
) -> StudyImages:
    """`study_images` of all volumes of a study; nothing is known where none has a mask."""
    if not masks:
        return StudyImages()
    masks_of: dict[str, list[Mapping[str, Any]]] = {row["volume_id"]: [] for row in volumes}
    for row in masks:
        masks_of[row["volume_id"]].append(row)
    volume_of = {row["volume_id"]: row for row in volumes}
    check_of = {row["volume_id"]: row for row in checks}
    return study_images(masks_of, volume_of, check_of, vocabulary, distrusted)


def study_images(
    masks: Mapping[str, Sequence[Mapping[str, Any]]],
    volumes: Mapping[str, Mapping[str, Any]],
    checks: Mapping[str, Mapping[str, Any]],
    vocabulary: Vocabulary,
    distrusted: Collection[tuple[str, str]] = (),
) -> StudyImages:
    """From rows of the tables masks, volumes and volume_checks, by volume.

    `masks` names every volume of the study: one without a mask may show anything. `distrusted` are
    volumes with an anatomy whose mask is wrong there: it shows nothing, and its absence nothing.
    """
    organs: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    ratios = []
    for volume, rows in masks.items():
        for name, mine in _by_organ(rows, vocabulary).items():
            if (volume, name[0]) not in distrusted:
                organs[name].append(_seen(volume, mine))
        if any((volume, organ) in distrusted for organ in RATIO_OF):
            continue
        ratio = cardiothoracic_ratio(rows, volumes[volume], vocabulary)
        if ratio is not None:
            ratios.append((volume, ratio))
    regions = {checks[v]["body_region"] if v in checks else "unknown" for v in masks}
    return StudyImages(
        dict(organs),
        # one volume of unknown region could show anything
        frozenset() if "unknown" in regions else frozenset("+".join(regions).split("+")),
        frozenset.intersection(
            *(
                _searched(masks[v], checks.get(v, {}), vocabulary)
                - {anatomy for volume, anatomy in distrusted if volume == v}
                for v in masks
            )
        ),
        max(ratios, key=lambda one: one[1], default=None),
        all(_adult(volumes[volume]) for volume in masks),
    )


def _adult(volume: Mapping[str, Any]) -> bool:
    age = volume["age_years"]
    return age is None or bool(age >= ADULT_YEARS)


def _searched(
    rows: Sequence[Mapping[str, Any]], check: Mapping[str, Any], vocabulary: Vocabulary
) -> frozenset[str]:
    """Anatomies that the masks of a volume could show: as declared, else as classes are known."""
    if check.get("searched") is not None:
        return frozenset(check["searched"])
    systems = {row["class_system"] for row in rows}
    return frozenset(anatomy for system in systems for anatomy in vocabulary.classes_of(system))


def cardiothoracic_ratio(
    rows: Sequence[Mapping[str, Any]], volume: Mapping[str, Any], vocabulary: Vocabulary
) -> float | None:
    """Greatest width of the heart over that of both lungs together, by their boxes.

    As on a radiograph (Danzer 1919): the heart's outermost points to the right and to the left
    against the inner width of the chest. None where the heart is cut by a face of the volume, a
    lung is missing, or the lungs reach its left or right face.
    """
    organs = _by_organ(rows, vocabulary)
    heart, lungs = organs.get(("heart", "")), organs.get(("lung", ""))
    sides = [organs.get(("lung", side)) for side in SIDES]
    if heart is None or lungs is None or None in sides:
        return None
    # the array axis that runs across the patient; either sign will do for a width
    axis = next(place for place, letter in enumerate(volume["orientation"]) if letter in "LR")
    low, high = _extent(lungs, axis)
    if any(row["touches_border"] for row in heart) or low == 0 or high == volume["shape"][axis]:
        return None
    left, right = _extent(heart, axis)
    return (right - left) / (high - low)


def _by_organ(
    rows: Sequence[Mapping[str, Any]], vocabulary: Vocabulary
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Class rows by anatomy and side, of the task that shows most of it.

    Two tasks may segment the same organ: added up, it would have twice its volume.
    """
    by_task: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        for anatomy in _anatomies(row["class_system"], vocabulary).get(row["class_name"], ()):
            ending = row["class_name"].rpartition("_")[2]
            for side in ("", ending) if ending in SIDES else ("",):
                tasks = by_task.setdefault((anatomy, side), {})
                tasks.setdefault(row["task"], []).append(row)
    return {name: max(tasks.values(), key=_ml) for name, tasks in by_task.items()}


@lru_cache(maxsize=32)
def _anatomies(system: str, vocabulary: Vocabulary) -> dict[str, list[str]]:
    """Anatomies that each class of a system belongs to."""
    of_class: dict[str, list[str]] = defaultdict(list)
    for anatomy, classes in vocabulary.classes_of(system).items():
        for name in classes:
            of_class[name].append(anatomy)
    return dict(of_class)


def _ml(rows: Sequence[Mapping[str, Any]]) -> float:
    return float(sum(row["volume_ml"] for row in rows))


def _seen(volume: str, rows: Sequence[Mapping[str, Any]]) -> Seen:
    return Seen(volume, _ml(rows), not any(row["touches_border"] for row in rows))


def _extent(rows: Sequence[Mapping[str, Any]], axis: int) -> tuple[int, int]:
    return min(row["bbox"][axis] for row in rows), max(row["bbox"][axis + 3] for row in rows)
