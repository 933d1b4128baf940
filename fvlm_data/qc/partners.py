"""Partners: other studies that say the same of an anatomy, which training must not push apart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fvlm_data.pairing.signature import comparable
from fvlm_data.review.versions import pair_version
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.store.tables import Store

NAMED = 6
"""Partners that a page links to; the others are counted."""

APART = """
(SELECT study_id, other_study_id AS other, anatomy FROM review_effects WHERE kind = 'pair'
UNION ALL
SELECT other_study_id, study_id, anatomy FROM review_effects WHERE kind = 'pair')
"""
"""Pairs that review holds to differ, from either side."""

SAME = f"""
SELECT mine.study_id, mine.anatomy, mine.findings, count(*),
    min(others.study_id, {NAMED})
FROM anatomy_texts AS mine
JOIN anatomy_texts AS others USING (anatomy, signature)
LEFT JOIN {APART} AS apart ON apart.study_id = mine.study_id
    AND apart.other = others.study_id AND apart.anatomy = mine.anatomy
WHERE mine.study_id IN (SELECT unnest($studies)) AND others.study_id <> mine.study_id
    AND apart.other IS NULL AND mine.state = 'abnormal' AND others.state = 'abnormal'
GROUP BY ALL
"""

NORMAL = """
SELECT anatomy, count(*) FROM anatomy_texts WHERE state = 'normal_stated' GROUP BY anatomy
"""


STATED = f"""
SELECT mine.study_id, mine.anatomy, count(others.study_id)
FROM anatomy_texts AS mine
LEFT JOIN {APART} AS apart ON apart.study_id = mine.study_id AND apart.anatomy = mine.anatomy
LEFT JOIN anatomy_texts AS others ON others.study_id = apart.other
    AND others.anatomy = mine.anatomy AND others.state = 'normal_stated'
WHERE mine.state = 'normal_stated' AND mine.study_id IN (SELECT unnest($studies))
GROUP BY ALL
"""
"""Anatomies that are normal, and how many other normal ones review holds to differ."""

HELD = f"""
SELECT study_id, anatomy, min(other, {NAMED}) FROM {APART}
WHERE study_id IN (SELECT unnest($studies)) GROUP BY ALL
"""
TEXTS = """
SELECT study_id, anatomy, text, state, signature FROM anatomy_texts
WHERE study_id IN (SELECT unnest($studies)) AND anatomy IN (SELECT unnest($anatomies))
"""


@dataclass(frozen=True, slots=True)
class Partners:
    """How many other studies say the same of one anatomy, and the first of them by id.

    For an anatomy stated to be normal they are only counted: most studies are. `apart` are the
    first that review holds to differ there; `versions` is that of the pair with each that is named.
    """

    count: int
    studies: tuple[str, ...]
    apart: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def read_partners(store: Store, study_ids: Sequence[str]) -> dict[str, dict[str, Partners]]:
    """Partners of some studies by study and anatomy, as training's policy `signature` pairs them.

    An abnormality without a name equals no other study's.

    Raises:
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    found: dict[str, dict[str, Partners]] = defaultdict(dict)
    chosen = {"studies": list(study_ids)}
    nobody = Partners(0, ())
    for study, anatomy, findings, count, first in tables.rows(SAME, chosen):
        if comparable(findings):
            found[study][anatomy] = Partners(count, tuple(sorted(first)))
    normal = dict(tables.rows(NORMAL))
    for study, anatomy, apart in tables.rows(STATED, chosen):
        found[study][anatomy] = Partners(normal[anatomy] - 1 - apart, ())
    for study, anatomy, others in tables.rows(HELD, chosen):
        before = found[study].get(anatomy, nobody)
        found[study][anatomy] = replace(before, apart=tuple(sorted(others)))
    return _with_versions(tables, found)


def _with_versions(
    tables: Relations, found: dict[str, dict[str, Partners]]
) -> dict[str, dict[str, Partners]]:
    """The same, with the versions of the pairs that are named."""
    named = [
        (study, anatomy, other)
        for study, of in found.items()
        for anatomy, one in of.items()
        for other in (*one.studies, *one.apart)
    ]
    if not named:
        return dict(found)
    wanted = {
        "studies": sorted({study for one in named for study in (one[0], one[2])}),
        "anatomies": sorted({anatomy for _, anatomy, _ in named}),
    }
    said = {(study, anatomy): rest for study, anatomy, *rest in tables.rows(TEXTS, wanted)}
    versions: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for study, anatomy, other in named:
        first, second = (said[one, anatomy] for one in sorted((study, other)))
        versions[study, anatomy][other] = pair_version(first, second)
    return {
        study: {
            anatomy: replace(one, versions=versions.get((study, anatomy), {}))
            for anatomy, one in of.items()
        }
        for study, of in found.items()
    }
