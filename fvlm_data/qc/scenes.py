"""What pictures are made from: volumes and their label maps, as the tables name them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.segment.merge import anatomy_table
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

VOLUMES = """
SELECT volume_id, path, affine_ras, content_sha256 FROM volumes
WHERE volume_id IN (SELECT volume_id FROM masks)
ORDER BY volume_id LIMIT $volumes
"""

LABEL_MAPS = f"""
SELECT volume_id, path, content_sha256, class_system, class_name, class_value FROM masks
WHERE volume_id IN (SELECT volume_id FROM ({VOLUMES}))
"""


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A file of labels: its content and the class name of each value."""

    path: str
    content_sha256: str
    class_system: str
    names: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Scene:
    """A volume and its label maps on the same grid."""

    volume_id: str
    path: str
    affine_ras: Sequence[float]
    content_sha256: str
    maps: tuple[LabelMap, ...]


def read_scenes(store: Store, volumes: int) -> list[Scene]:
    """The first volumes that have a label map, by id: chosen the same way every time."""
    tables = Relations(store)
    chosen = {"volumes": volumes}
    maps = defaultdict(list)
    for volume_id, *told in tables.rows(LABEL_MAPS, chosen):
        maps[volume_id].append(told)
    return [
        Scene(volume_id, path, affine_ras, sha256, _label_maps(maps[volume_id]))
        for volume_id, path, affine_ras, sha256 in tables.rows(VOLUMES, chosen)
    ]


def scene_of(volume: Mapping[str, Any], masks: Iterable[Mapping[str, Any]]) -> Scene:
    """The scene of a row of `volumes` and its rows of `masks`."""
    told = [
        (m["path"], m["content_sha256"], m["class_system"], m["class_name"], m["class_value"])
        for m in masks
    ]
    return Scene(
        volume["volume_id"],
        volume["path"],
        volume["affine_ras"],
        volume["content_sha256"],
        _label_maps(told),
    )


def drawn_as(
    scene: Scene, anatomies: Sequence[str], vocabulary: Vocabulary
) -> list[tuple[str, list[int]]]:
    """Content of each label map, and as which anatomy each of its values is drawn."""
    return sorted(
        (
            one.content_sha256,
            anatomy_table(one.names, one.class_system, anatomies, vocabulary).tolist(),
        )
        for one in scene.maps
    )


def _label_maps(rows: Iterable[Sequence[Any]]) -> tuple[LabelMap, ...]:
    """Label maps from rows of path, content, class system, class name and value."""
    maps: dict[tuple[str, str, str], dict[int, str]] = defaultdict(dict)
    for path, sha256, system, name, value in rows:
        maps[path, sha256, system][value] = name
    return tuple(LabelMap(*told, names) for told, names in sorted(maps.items()))
