"""What to look at first: mentions, masks, studies and pairs by how much speaks against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fvlm_data.review.decisions import Entry, read_decisions
from fvlm_data.review.doubted import as_sentence, doubted_rows
from fvlm_data.review.pair_doubts import pair_doubts
from fvlm_data.review.subjects import Subject, subject_of
from fvlm_data.review.versions import versions_of
from fvlm_data.store.queries import open_tables, with_readable_tables

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

TABLES = (
    "findings", "volumes", "volume_checks", "cross_checks", "study_reports", "masks",
    "anatomy_texts",
)  # fmt: skip
SLIGHT, PLAIN, STRONG = 1, 2, 3
"""Weights of a doubt: flags, weak checks, partners of unlike severity; mentions of medium
confidence, partners of unlike size; low confidence, contradictions of report and image, a model's
doubt."""

_MENTION = "concat_ws(':', report_id, start, \"end\", finding, anatomy, status)"

_DOUBTS = f"""
SELECT 'finding' AS kind, {_MENTION} AS subject,
    CASE confidence WHEN 'low' THEN {STRONG} ELSE {PLAIN} END AS weight,
    'read with ' || confidence || ' confidence: ' || coalesce(array_to_string(doubts, ', '), '')
        AS why
FROM findings WHERE confidence IN ('low', 'medium')
UNION ALL
SELECT CASE WHEN volume_id IS NULL OR anatomy IS NULL THEN 'study' ELSE 'mask' END,
    CASE WHEN volume_id IS NULL OR anatomy IS NULL THEN study_id
        ELSE volume_id || ':' || anatomy END,
    CASE strength WHEN 'strong' THEN {STRONG} ELSE {SLIGHT} END,
    'check ' || "check" || ' (' || strength || ')'
FROM cross_checks
UNION ALL
SELECT 'sentence', unnest(sources),
    CASE strength WHEN 'strong' THEN {STRONG} ELSE {SLIGHT} END,
    'check ' || "check" || ' (' || strength || ')'
FROM cross_checks
UNION ALL
SELECT CASE WHEN f.anatomy IS NULL THEN 'study' ELSE 'mask' END,
    CASE WHEN f.anatomy IS NULL THEN v.study_id ELSE c.volume_id || ':' || f.anatomy END,
    {SLIGHT}, 'flag ' || c.flag
FROM (SELECT volume_id, unnest(flags) AS flag FROM volume_checks) c
JOIN volumes v USING (volume_id) JOIN _flags f USING (flag)
UNION ALL
SELECT 'finding', {_MENTION}, {STRONG}, 'model: ' || m.why
FROM findings JOIN _model m USING (report_id, finding, anatomy)
UNION ALL
SELECT DISTINCT 'study', s.study_id, {STRONG}, 'model: ' || m.why
FROM _model m JOIN study_reports s USING (report_id)
ANTI JOIN findings f ON f.report_id = m.report_id AND f.finding = m.finding
    AND f.anatomy = m.anatomy
UNION ALL
SELECT * FROM ({pair_doubts(SLIGHT, PLAIN)})
"""
"""Kind, subject, weight and words of each doubt."""

_ORDERED = f"""
SELECT kind, subject, max(weight), list(DISTINCT why ORDER BY why)
FROM ({_DOUBTS}) d ANTI JOIN _judged j USING (kind, subject)
WHERE $kind IS NULL OR kind = $kind
GROUP BY ALL ORDER BY max(weight) DESC, sum(weight) DESC, kind, subject LIMIT $limit
"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing to judge; `weight` is that of its gravest doubt."""

    subject: Subject
    weight: int
    why: tuple[str, ...]
    version: str

    @property
    def entry(self) -> Entry:
        """What a file of decisions holds of it before it is judged."""
        subject = self.subject
        return Entry(kind=subject.kind, subject=subject.text, version=self.version, why=self.why)


def doubts(
    context: Context,
    vocabulary: Vocabulary,
    limit: int,
    doubtful: Path | None = None,
    kind: str | None = None,
    reviewer: str | None = None,
) -> list[Doubt]:
    """The `limit` things that are doubted most, less what is judged as it is now.

    With a `reviewer`, less what that one has judged, else less what anybody has. `doubtful` are
    rows of `fvlm-eval doubtful`. Equal doubts come by id, which is a random draw.

    Raises:
        InputError: the rows cannot be read.
        StoreError: a table cannot be read.
    """
    rows = doubted_rows(doubtful) if doubtful is not None else []
    judged = _judged(context, vocabulary, reviewer)

    def work() -> list[tuple[str, str, int, list[str]]]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, TABLES)
            _show(connection, _flag_rows(connection, vocabulary), rows, judged)
            return connection.execute(_ORDERED, {"kind": kind, "limit": limit}).fetchall()
        finally:
            connection.close()

    found = with_readable_tables(context, TABLES, work, mend=False)
    subjects = [subject_of(of, text) for of, text, _, _ in found]
    versions = versions_of(context, set(subjects), vocabulary)
    return [
        Doubt(subject, weight, tuple(why), version)
        for subject, (_, _, weight, why) in zip(subjects, found, strict=True)
        if (version := versions.get(subject)) is not None
    ]


def _judged(context: Context, vocabulary: Vocabulary, reviewer: str | None) -> set[Subject]:
    """Subjects that are judged on their present version."""
    decisions = [one for one in read_decisions(context) if reviewer in (None, one.reviewer)]
    subjects = [subject_of(one.kind, one.subject) for one in decisions]
    versions = versions_of(context, set(subjects), vocabulary)
    return {
        subject
        for subject, one in zip(subjects, decisions, strict=True)
        if versions.get(subject) == one.version
    }


def _show(
    connection: duckdb.DuckDBPyConnection,
    flags: Mapping[str, str | None],
    rows: Sequence[dict[str, Any]],
    judged: Collection[Subject],
) -> None:
    """The relations `_flags`, `_model` and `_judged`."""
    model = [
        (report, row["finding"], row["anatomy"], as_sentence(row))
        for row in rows
        for report in row["report_ids"]
    ]
    for name, columns, values in (
        ("_flags", ("flag", "anatomy"), list(flags.items())),
        ("_model", ("report_id", "finding", "anatomy", "why"), model),
        ("_judged", ("kind", "subject"), [(one.kind, one.text) for one in judged]),
    ):
        arrays = [pa.array([row[n] for row in values], pa.string()) for n in range(len(columns))]
        connection.register(name, pa.table(arrays, names=list(columns)))


def _flag_rows(
    connection: duckdb.DuckDBPyConnection, vocabulary: Vocabulary
) -> dict[str, str | None]:
    """Flags that doubt a mask, with the anatomy that they are about; None: the whole study.

    That an image cuts an organ, and the phase of contrast, are no doubts.
    """
    systems = connection.execute("SELECT DISTINCT class_system FROM masks").fetchall()
    anatomy_of = {anatomy: anatomy for anatomy in vocabulary.imaged}
    for (system,) in systems:
        for anatomy, names in vocabulary.classes_of(system).items():
            anatomy_of.update(dict.fromkeys(names, anatomy))
    flags = connection.execute("SELECT DISTINCT unnest(flags) FROM volume_checks").fetchall()
    made: dict[str, str | None] = {}
    for (flag,) in flags:
        words = flag.split("_")
        if "cut" in words or words[0] == "phase":
            continue
        # the longest name that the flag begins with: `rib_left_7_hu_unusual`
        heads = ("_".join(words[:number]) for number in range(len(words) - 1, 0, -1))
        made[flag] = next((anatomy_of[head] for head in heads if head in anatomy_of), None)
    return made
