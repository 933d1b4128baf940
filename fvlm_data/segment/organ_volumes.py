"""How large each anatomy is, by the masks: for pages and exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.vocabulary import Vocabulary

OF_VOLUME = """
classes AS (
    SELECT unnest($systems) AS class_system, unnest($names) AS class_name,
        unnest($anatomies) AS anatomy
),
-- ordered, since a sum of floats depends on the order
of_task AS (
    SELECT volume_id, anatomy, sum(volume_ml ORDER BY class_name) AS ml
    FROM measured JOIN classes USING (class_system, class_name)
    GROUP BY volume_id, task, anatomy
),
-- two tasks may show one anatomy: the greater of both counts
of_volume AS (SELECT volume_id, anatomy, max(ml) AS ml FROM of_task GROUP BY ALL)
"""
"""Behind a relation `measured` of rows of table masks; its parameters are `named_classes`."""


def named_classes(systems: Iterable[str], vocabulary: Vocabulary) -> dict[str, list[str]]:
    """Class system, class and anatomy of each class that an anatomy is merged from, as columns."""
    rows = [
        (system, name, anatomy)
        for system in systems
        for anatomy, names in vocabulary.classes_of(system).items()
        for name in names
    ]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return dict(zip(("systems", "names", "anatomies"), map(list, columns), strict=True))
