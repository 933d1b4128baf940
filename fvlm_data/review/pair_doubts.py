"""Pairs of partners that are worth a look: those that differ most, and those on doubtful mentions.

Partners are as many as the square of the studies that say one thing, so not all are asked about: of
each group a few that lie farthest apart, and of each study whose mention is doubted one.
"""

from __future__ import annotations

from fvlm_data.vocabulary import OTHER_ABNORMALITY

TABLES = ("anatomy_texts", "findings")

FARTHEST = 3
"""Pairs of a group by size, and as many by severity: its least with its greatest, and so on."""

SIZE_RATIO = 3
"""Sizes of which one is so many times the other: hardly the same to look at."""

_NAMES = "[split_part(member, '|', 1) FOR member IN findings]"


def pair_doubts(slight: int, plain: int) -> str:
    """SQL of doubts as `kind`, `subject`, `weight`, `why`; it reads TABLES and relation `_model`.

    Partners are those of policy `signature` (`qc.partners`): abnormal, of one signature, all of it
    named. Doubts of low confidence, those of a model and sizes weigh `plain`, others `slight`.
    """
    return f"""
WITH said AS (
    SELECT study_id, anatomy, signature, {_NAMES} AS names, sources FROM anatomy_texts
    WHERE state = 'abnormal' AND len(findings) > 0
        AND NOT list_contains({_NAMES}, '{OTHER_ABNORMALITY}')
), shared AS (
    SELECT s.* FROM said s SEMI JOIN
        (SELECT anatomy, signature FROM said GROUP BY ALL HAVING count(*) > 1) g
        USING (anatomy, signature)
), spans AS (
    SELECT study_id, anatomy, signature, names, split_part(source, ':', 1) AS report_id,
        split_part(source, ':', 2)::INT AS low, split_part(source, ':', 3)::INT AS high
    FROM (SELECT * EXCLUDE sources, unnest(sources) AS source FROM shared)
), members AS (
    SELECT s.study_id, s.anatomy, s.signature, f.finding, max(f.size_mm) AS size_mm,
        max(CASE f.severity WHEN 'mild' THEN 1 WHEN 'moderate' THEN 2 WHEN 'severe' THEN 3 END)
            AS grade,
        max(CASE WHEN f.confidence = 'low' OR m.why IS NOT NULL THEN {plain}
            WHEN f.confidence = 'medium' THEN {slight} ELSE 0 END) AS doubt
    FROM spans s JOIN findings f ON f.report_id = s.report_id AND f.start >= s.low
        AND f."end" <= s.high AND list_contains(s.names, f.finding)
    LEFT JOIN _model m ON m.report_id = f.report_id AND m.finding = f.finding
        AND m.anatomy = f.anatomy
    WHERE f.status IN ('present', 'uncertain', 'historical')
    GROUP BY ALL
), {_ends("sized", "size_mm")}, {_ends("graded", "grade")}, placed AS (
    SELECT study_id, anatomy, signature, max(doubt) AS doubt, row_number() OVER
        (PARTITION BY anatomy, signature ORDER BY max(doubt), study_id) AS place
    FROM members GROUP BY study_id, anatomy, signature
), found AS (
    SELECT a.study_id AS one, b.study_id AS other, anatomy, {plain} AS weight,
        printf('partners differ in size: %s, %g and %g mm', finding, a.size_mm, b.size_mm) AS why
    FROM sized a JOIN sized b USING (anatomy, signature, finding)
    WHERE a.from_least = b.from_most AND b.size_mm >= {SIZE_RATIO} * a.size_mm
    UNION ALL
    SELECT a.study_id, b.study_id, anatomy, {slight},
        printf('partners differ in severity: %s, mild and severe', finding)
    FROM graded a JOIN graded b USING (anatomy, signature, finding)
    WHERE a.from_least = b.from_most AND a.grade = 1 AND b.grade = 3
    UNION ALL
    SELECT a.study_id, b.study_id, anatomy, a.doubt, 'partners by a doubtful mention'
    FROM placed a JOIN placed b USING (anatomy, signature)
    WHERE a.doubt > 0 AND b.place = CASE a.place WHEN 1 THEN 2 ELSE 1 END
)
SELECT 'pair' AS kind, concat_ws(':', least(one, other), greatest(one, other), anatomy) AS subject,
    weight, why
FROM found
"""


def _ends(name: str, value: str) -> str:
    """A relation of the members with the least and the most of a value, by group and finding."""
    group = "OVER (PARTITION BY anatomy, signature, finding ORDER BY"
    return f"""{name} AS (
    SELECT *, row_number() {group} {value}, study_id) AS from_least,
        row_number() {group} {value} DESC, study_id DESC) AS from_most
    FROM members WHERE {value} IS NOT NULL
    QUALIFY least(from_least, from_most) <= {FARTHEST}
)"""
