"""Patients of whom two volumes show nearly the same: one scan that was written out twice."""

from __future__ import annotations

from itertools import product

LARGEST_DISTANCE_HU = 40
"""Euclidean distance of the means of 64 blocks up to which two volumes show one scan: 5 HU RMS.

Measured on four CTs: noise of 8 HU moves a scan by 5 at most, a resampling to 0.7 of its voxels by
16, a shift by two voxels by 250; two scans lie 1,000 and more apart.
"""


def _mean(*parts: str) -> str:
    listed = parts[0] if len(parts) == 1 else f"list_concat({', '.join(parts)})"
    return f"list_aggregate({listed}, 'avg')"


def _blocks(places: str) -> str:
    return f"block_means_hu[{places}]"


PLACES = (
    (_mean("block_means_hu"), LARGEST_DISTANCE_HU / 8),
    *(
        (f"{one} - {other}", LARGEST_DISTANCE_HU / 4)
        for one, other in (
            (_mean(_blocks("1:32")), _mean(_blocks("33:64"))),
            (_mean(_blocks("1:16"), _blocks("49:64")), _mean(_blocks("17:48"))),
            (_mean(_blocks("1:64:2")), _mean(_blocks("2:64:2"))),
        )
    ),
)
"""Numbers of a volume, and by how much they differ at most where two volumes are near: the mean of
all blocks, and differences of the means of one half and the other (Cauchy-Schwarz)."""


def _near() -> str:
    """SQL of the pairs. Comparing all with all would take the square of their number.

    Volumes lie in cells by their numbers. Cells are twice as wide as near volumes may differ, so
    that what is near one lies in one of two cells along each number: in one of 16 in all. A cell is
    told by a hash, since many millions of them are joined; two of one hash are only compared.
    """
    numbers = [f"k{place}" for place in range(len(PLACES))]
    # a little more, else a rounding could part what lies on a border
    reach = [most * 1.001 for _, most in PLACES]
    shown = ", ".join(f"{sql} AS {k}" for k, (sql, _) in zip(numbers, PLACES, strict=True))
    own = [f"floor({k} / {2 * r})::INT" for k, r in zip(numbers, reach, strict=True)]
    sides = ", ".join(
        f"floor(({k} {sign} {r}) / {2 * r})::INT AS {side}_{k}"
        for k, r in zip(numbers, reach, strict=True)
        for sign, side in (("-", "low"), ("+", "high"))
    )
    cells = ", ".join(
        f"hash({', '.join(f'{side}_{k}' for side, k in zip(chosen, numbers, strict=True))})"
        for chosen in product(("low", "high"), repeat=len(numbers))
    )
    near = " AND ".join(f"abs(p.{k} - q.{k}) <= {r}" for k, r in zip(numbers, reach, strict=True))
    return f"""
WITH images AS MATERIALIZED (
    SELECT row_number() OVER () AS n, patient_id, pixels_sha256, block_means_hu
    FROM candidates WHERE block_means_hu IS NOT NULL
), prints AS MATERIALIZED (SELECT n, {shown} FROM images),
placed AS (SELECT n, hash({", ".join(own)}) AS cell FROM prints),
around AS (SELECT n, unnest([{cells}]) AS cell FROM (SELECT n, {sides} FROM prints)),
pairs AS (
    SELECT p.n AS one, q.n AS two FROM placed a JOIN around b ON a.cell = b.cell AND a.n < b.n
    JOIN prints p ON p.n = a.n JOIN prints q ON q.n = b.n WHERE {near}
)
SELECT DISTINCT least(a.patient_id, b.patient_id) AS first,
    greatest(a.patient_id, b.patient_id) AS other
FROM pairs JOIN images a ON a.n = one JOIN images b ON b.n = two
WHERE a.patient_id <> b.patient_id AND a.pixels_sha256 IS DISTINCT FROM b.pixels_sha256
    AND list_distance(a.block_means_hu, b.block_means_hu) <= {LARGEST_DISTANCE_HU}
"""


NEAR = _near()
"""SQL of columns first and other: patients of whom two volumes show nearly the same, but not the
same pixels."""
