"""From label maps of many classes to one label map of anatomies, by look-up tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]

MAX_ANATOMIES = 254
"""Values 1 to 254 of a uint8 label map; 255 marks "none" while merging."""

BETTER_MASKS = "t.class_system <> 'threshold'"
"""SQL of the masks that count where a volume has any: those found by density are a first look and
add nothing to a volume that has others."""

NONE = 255
PIECE_VOXELS = 250_000


def anatomy_table(
    classes: Mapping[int, str], system: str, anatomies: Sequence[str], vocabulary: Vocabulary
) -> Array:
    """Look-up table uint8: class value to place in `anatomies` by precedence, 255 for none.

    `classes` names the values of a label map; the table has one entry for each value from 0 to
    the greatest. Places count anatomies in order of precedence, not in the order given.

    Raises:
        ConfigError: the system or an anatomy is not known, or there are too many.
    """
    ranked = ranked_anatomies(anatomies, vocabulary)
    by_name: dict[str, int] = {}
    of_system = vocabulary.classes_of(system)
    for place, anatomy in enumerate(ranked):
        for name in of_system.get(anatomy, ()):
            by_name.setdefault(name, place)
    table = np.full(max(classes, default=0) + 1, NONE, np.uint8)
    for value, name in classes.items():
        table[value] = by_name.get(name, NONE)
    # whatever a class map says of value 0: it is background
    table[0] = NONE
    return table


def merge_labels(
    maps: Sequence[tuple[Array, Mapping[int, str], str]],
    anatomies: Sequence[str],
    vocabulary: Vocabulary,
) -> Array:
    """One uint8 label map of anatomies from label maps of classes on the same grid.

    Each map is (labels of any integer type, class name by value, class system). A voxel's value
    is 1 + the index in `anatomies` of the anatomy that comes first in the vocabulary among those
    that the maps show there; 0 for none. Values without a name count as background.

    Raises:
        ConfigError: a system or an anatomy is not known, or there are too many anatomies.
        ValueError: there is no map, or the maps have different shapes.
    """
    shapes = {labels.shape for labels, _, _ in maps}
    if len(shapes) != 1:
        raise ValueError(f"expected label maps of one shape, found {sorted(shapes)}")
    value = np.zeros(NONE + 1, np.uint8)
    for place, anatomy in enumerate(ranked_anatomies(anatomies, vocabulary)):
        value[place] = 1 + list(anatomies).index(anatomy)
    tables = [anatomy_table(classes, system, anatomies, vocabulary) for _, classes, system in maps]
    # the axis of the greatest stride: a piece along it lies in one stretch of memory
    axis = int(np.argmax(np.abs(maps[0][0].strides)))
    merged = np.empty_like(maps[0][0], np.uint8)
    for piece in _pieces(merged.shape, axis):
        parts = [labels[piece] for labels, _, _ in maps]
        if len(maps) == 1:  # the usual case: one look-up instead of two
            merged[piece] = _looked_up(value[tables[0]], parts[0], 0)
            continue
        places = _looked_up(tables[0], parts[0], NONE)
        for table, part in zip(tables[1:], parts[1:], strict=True):
            # the minimum is the anatomy of higher precedence; NONE is the greatest value
            places = np.minimum(places, _looked_up(table, part, NONE))
        merged[piece] = value[places]
    return merged


def _pieces(shape: tuple[int, ...], axis: int) -> Iterator[tuple[slice, ...]]:
    """Parts of an array along an axis, of about PIECE_VOXELS each, to merge in little memory."""
    slice_voxels = max(1, math.prod(shape) // max(1, shape[axis]))
    step = max(1, PIECE_VOXELS // slice_voxels)
    for start in range(0, shape[axis], step):
        yield (slice(None),) * axis + (slice(start, start + step),)


def _looked_up(table: Array, labels: Array, beyond: int) -> Array:
    """uint8 `table[labels]`; `beyond` where a label is greater than the table."""
    # 256 entries for any uint8, so that the translation below needs no look at the values
    greatest = 255 if labels.dtype == np.uint8 else int(labels.max(initial=0))
    room = max(greatest + 1 - len(table), 0)
    table = np.concatenate([table, np.full(room, beyond, np.uint8)])
    if labels.dtype != np.uint8:
        return np.asarray(table[labels])
    # bytes are translated in a third of the time that indexing takes
    order: Literal["C", "F"] = "F" if labels.flags.f_contiguous else "C"
    content = labels.tobytes(order).translate(table[:256].tobytes())
    return np.frombuffer(content, np.uint8).reshape(labels.shape, order=order)


def ranked_anatomies(anatomies: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """The anatomies in order of precedence.

    Raises:
        ConfigError: one is not known or stands twice, or there are too many.
    """
    order = vocabulary.imaged
    unknown = sorted(set(anatomies) - set(order))
    if unknown or len(set(anatomies)) != len(anatomies) or len(anatomies) > MAX_ANATOMIES:
        raise ConfigError(
            f"anatomies: found {', '.join(unknown) or 'repeated names'}; expected up to "
            f"{MAX_ANATOMIES} different ones of {', '.join(order)}"
        )
    return sorted(anatomies, key=order.index)
