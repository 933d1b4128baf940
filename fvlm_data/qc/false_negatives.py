"""Pairs that say the same of an anatomy: false negatives where training pushes all pairs apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.vocabulary import OTHER_ABNORMALITY

if TYPE_CHECKING:
    from fvlm_data.store.relations import Relations

BATCH = 64
"""Studies of a batch, as `pair --audit` draws them."""

ALIKE = f"""
WITH shown AS (
    SELECT DISTINCT study_id, unnest(anatomies) AS anatomy FROM samples WHERE split = 'train'
), said AS (
    SELECT t.study_id, anatomy, state, signature,
        len(findings) > 0 AND NOT list_contains(
            [split_part(member, '|', 1) FOR member IN findings], '{OTHER_ABNORMALITY}') AS named
    FROM anatomy_texts t JOIN shown USING (study_id, anatomy)
), counted AS (
    SELECT anatomy, count(*) AS studies FROM said GROUP BY anatomy
), alike AS (
    SELECT anatomy, state, count(*) * (count(*) - 1) // 2 AS pairs FROM said
    WHERE state = 'normal_stated' OR (state = 'abnormal' AND named)
    GROUP BY anatomy, state, CASE state WHEN 'abnormal' THEN signature END
), apart AS (
    SELECT one.anatomy, one.state, count(*) AS pairs FROM review_effects e
    JOIN said one ON one.study_id = e.study_id AND one.anatomy = e.anatomy
    JOIN said other ON other.study_id = e.other_study_id AND other.anatomy = e.anatomy
    WHERE e.kind = 'pair' AND one.state = other.state
        AND (one.state = 'normal_stated'
            OR (one.state = 'abnormal' AND one.named AND one.signature = other.signature))
    GROUP BY ALL
)
SELECT anatomy, studies,
    coalesce((SELECT sum(pairs) FROM alike a WHERE a.anatomy = c.anatomy
        AND state = 'normal_stated'), 0)
    - coalesce((SELECT sum(pairs) FROM apart a WHERE a.anatomy = c.anatomy
        AND state = 'normal_stated'), 0),
    coalesce((SELECT sum(pairs) FROM alike a WHERE a.anatomy = c.anatomy AND state = 'abnormal'), 0)
    - coalesce((SELECT sum(pairs) FROM apart a WHERE a.anatomy = c.anatomy
        AND state = 'abnormal'), 0),
    coalesce((SELECT sum(pairs) FROM apart a WHERE a.anatomy = c.anatomy), 0)
FROM counted c WHERE studies > 1 ORDER BY anatomy
"""


@dataclass(frozen=True, slots=True)
class Alike:
    """Pairs of training studies that show an anatomy and say the same of it.

    `both_normal` and `same_findings` are shares of all their pairs, `in_batch` how many such pairs
    a batch of BATCH of them holds in the mean; `apart` pairs are held to differ by review, and
    count as different.
    """

    anatomy: str
    studies: int
    both_normal: float
    same_findings: float
    in_batch: float
    apart: int


def read_alike(tables: Relations) -> tuple[Alike, ...]:
    """By anatomy, those with the most such pairs first; exact, not drawn.

    Raises:
        StoreError: a table cannot be read.
    """
    found = []
    for anatomy, studies, normal, same, apart in tables.rows(ALIKE):
        every = studies * (studies - 1) // 2
        size = min(BATCH, studies)
        share = (normal + same) / every
        batch = share * size * (size - 1) / 2
        found.append(Alike(anatomy, studies, normal / every, same / every, batch, apart))
    return tuple(sorted(found, key=lambda one: (-one.in_batch, one.anatomy)))
