"""How often text and image contradict each other, by check."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Contradicted:
    """Studies of one check, anatomy (none: the whole report) and strength, with examples.

    `examples` are (study id, what was said and measured), the first by id.
    """

    check: str
    anatomy: str | None
    strength: str
    studies: int
    examples: tuple[tuple[str, str], ...]


def audit_contradictions(store: Store) -> tuple[Contradicted, ...]:
    """Count table cross_checks, strong ones first."""
    groups: dict[tuple[str, str, str | None], list[Any]] = defaultdict(list)
    for row in store.read("cross_checks").to_pylist():
        groups[row["strength"], row["check"], row["anatomy"]].append(row)
    found = []
    for (strength, check, anatomy), rows in groups.items():
        rows.sort(key=lambda row: (row["study_id"], row["said"]))
        examples = tuple((row["study_id"], row["detail"]) for row in rows[:EXAMPLES])
        studies = len({row["study_id"] for row in rows})
        found.append(Contradicted(check, anatomy, strength, studies, examples))
    return tuple(sorted(found, key=lambda one: (one.strength, one.check, one.anatomy or "")))
