"""How far two reviewers say the same of what both judged: Cohen's kappa, by kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas import Decision


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two reviewers on one kind; counts of what the first and the second said.

    `kappa` is None where chance alone would have them agree on all (both say one thing only).
    """

    first: str
    second: str
    kind: str
    both_right: int
    both_wrong: int
    right_wrong: int
    wrong_right: int
    kappa: float | None

    @property
    def judged(self) -> int:
        """How many both judged."""
        return self.both_right + self.both_wrong + self.right_wrong + self.wrong_right


def agreements(decisions: Iterable[Decision]) -> list[Agreement]:
    """Each two reviewers on each kind that both judged, by their last decisions on one version.

    `decisions` come oldest first.
    """
    said: dict[str, dict[tuple[str, str, str], str]] = defaultdict(dict)
    for one in decisions:
        said[one.reviewer][one.kind, one.subject, one.version] = one.verdict
    return [
        told
        for first, second in combinations(sorted(said), 2)
        for told in _of_two(first, second, said[first], said[second])
    ]


def _of_two(
    first: str,
    second: str,
    one: dict[tuple[str, str, str], str],
    other: dict[tuple[str, str, str], str],
) -> Iterator[Agreement]:
    pairs: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for subject in one.keys() & other.keys():
        pairs[subject[0]][one[subject], other[subject]] += 1
    for kind, counts in sorted(pairs.items()):
        both_right, both_wrong = counts["right", "right"], counts["wrong", "wrong"]
        right_wrong, wrong_right = counts["right", "wrong"], counts["wrong", "right"]
        told = kappa(both_right, both_wrong, right_wrong, wrong_right)
        yield Agreement(first, second, kind, both_right, both_wrong, right_wrong, wrong_right, told)


def kappa(both_right: int, both_wrong: int, right_wrong: int, wrong_right: int) -> float | None:
    """Cohen's kappa (1960): agreement beyond chance, 1 for full, 0 for that of chance.

    None where chance would have them agree on all.
    """
    judged = both_right + both_wrong + right_wrong + wrong_right
    if judged == 0:
        return None
    # counts, not shares: so that full agreement by chance is told exactly
    by_chance = (both_right + right_wrong) * (both_right + wrong_right)
    by_chance += (both_wrong + wrong_right) * (both_wrong + right_wrong)
    if by_chance == judged * judged:
        return None
    observed = (both_right + both_wrong) * judged
    return (observed - by_chance) / (judged * judged - by_chance)
