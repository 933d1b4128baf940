"""What must hold of the tables together, as SQL: nothing lost, nothing twice, nothing leaked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.pairing.waiting import WAITS

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that holds where `wrong` (SQL of a column `item`) finds nothing.

    `counts` are SQL of numbers to report, by what they count.
    """

    name: str
    wrong: str
    counts: Mapping[str, str] = field(default_factory=dict)
    remedy: str = ""


def partition(name: str, offered: str, places: str) -> Statement:
    """Every item of `offered` is in `places` exactly once (both SQL of a column `item`)."""
    lost = f"SELECT item FROM ({offered}) EXCEPT SELECT item FROM ({places})"
    twice = f"SELECT item FROM ({places}) GROUP BY item HAVING count(*) > 1"
    unknown = (
        f"SELECT DISTINCT item FROM ({places}) WHERE item NOT IN (SELECT item FROM ({offered}))"
    )
    return Statement(
        f"every one of the {name} is in exactly one place",
        f"({lost}) UNION ALL ({twice}) UNION ALL ({unknown})",
        {
            "offered": f"SELECT count(DISTINCT item) FROM ({offered})",
            "unaccounted for": f"SELECT count(*) FROM ({lost})",
            "in two places": f"SELECT count(*) FROM ({twice})",
            "never offered": f"SELECT count(*) FROM ({unknown})",
        },
    )


def orphans(name: str, table: str, column: str, of: str) -> Statement:
    """Every value of a column exists in the table that it refers to."""
    return Statement(
        f"{name} exist",
        f"SELECT {column} AS item FROM {table} WHERE {column} NOT IN (SELECT {column} FROM {of})",
        {"rows": f"SELECT count(*) FROM {table}"},
    )


def _aside(*stages: str) -> str:
    listed = ", ".join(f"'{stage}'" for stage in stages)
    return f"SELECT * FROM quarantine WHERE stage IN ({listed})"


_ARRIVING = (
    "SELECT owner_id AS item FROM waiting WHERE owner_kind = 'series' "
    "AND waits_for = 'still_arriving'"
)

FILES = partition(
    "files",
    "SELECT token AS item FROM inputs WHERE kind = 'file'",
    # a multi-frame file may hold several volumes of its series: it counts once
    "SELECT token AS item FROM (SELECT DISTINCT series_id, unnest(source_files) AS token "
    f"FROM volumes) UNION ALL SELECT unnest(source_files) AS item FROM "
    f"({_aside('discover', 'ingest', 'select')}) UNION ALL "
    # a series that is still arriving may have a volume of the files that came before
    f"SELECT token AS item FROM inputs WHERE kind = 'file' AND item IN ({_ARRIVING}) "
    "AND token NOT IN (SELECT unnest(source_files) FROM volumes) AND token NOT IN "
    f"(SELECT unnest(source_files) FROM ({_aside('discover', 'ingest', 'select')}))",
)

SERIES = partition(
    "series",
    "SELECT DISTINCT item FROM inputs WHERE kind = 'file' AND item IS NOT NULL",
    "SELECT DISTINCT series_id AS item FROM volumes UNION ALL "
    f"SELECT DISTINCT item FROM (SELECT item FROM ({_aside('ingest')}) UNION ALL "
    # a row of `select` is about a study: the series it refused are found through their files
    "SELECT coalesce(i.item, q.token) AS item FROM (SELECT unnest(source_files) AS token FROM "
    f"({_aside('select')})) q LEFT JOIN (SELECT token, item FROM inputs WHERE kind = 'file') i "
    "ON i.token = q.token) WHERE item NOT IN (SELECT series_id FROM volumes) UNION ALL "
    f"{_ARRIVING} AND owner_id NOT IN (SELECT series_id FROM volumes) AND owner_id NOT IN "
    f"(SELECT item FROM ({_aside('ingest')})) AND owner_id NOT IN (SELECT i.item FROM inputs i "
    f"WHERE i.item <> '' AND i.token IN (SELECT unnest(source_files) FROM ({_aside('select')})))",
)

STUDIES = partition(
    "studies",
    # a study all of whose volumes `select` refused is in candidates only
    "SELECT study_id AS item FROM volumes UNION SELECT study_id FROM candidates",
    # a study whose text of one anatomy is set aside is accepted with the others
    "WITH waits AS (SELECT owner_id AS item FROM waiting WHERE owner_kind = 'study'), "
    "accepted AS (SELECT study_id AS item FROM anatomy_texts EXCEPT SELECT item FROM waits), "
    f"aside AS (SELECT item FROM ({_aside('pair')}) WHERE item IN (SELECT study_id FROM volumes) "
    f"AND item NOT IN (SELECT item FROM accepted) UNION SELECT item FROM ({_aside('select')}) "
    "WHERE item NOT IN (SELECT study_id FROM volumes)) SELECT item FROM accepted UNION ALL "
    "SELECT item FROM aside UNION ALL SELECT item FROM waits",
)

REPORTS = partition(
    "reports",
    "SELECT token AS item FROM inputs WHERE kind = 'report'",
    "WITH told AS (SELECT token, item FROM inputs WHERE kind = 'report' AND item IS NOT NULL), "
    "places AS (SELECT DISTINCT report_id AS item FROM study_reports UNION ALL "
    f"SELECT DISTINCT item FROM ({_aside('discover_reports', 'reports', 'match')}) UNION ALL "
    "SELECT owner_id AS item FROM waiting WHERE owner_kind = 'report') "
    "SELECT coalesce(t.token, p.item) AS item FROM places p LEFT JOIN told t ON t.item = p.item",
)

_SAMPLES = (
    "SELECT patient_id, volume_id, split FROM samples UNION ALL "
    "SELECT patient_id, volume_id, split FROM unlabelled_samples"
)

PATIENTS = Statement(
    "each patient is in one split",
    f"SELECT patient_id AS item FROM ({_SAMPLES}) GROUP BY patient_id "
    "HAVING count(DISTINCT split) > 1",
    {"patients": f"SELECT count(DISTINCT patient_id) FROM ({_SAMPLES})"},
)

IMAGES = Statement(
    "each image is in one split",
    "WITH images AS (SELECT volume_id, content_sha256 AS image FROM volumes UNION "
    "SELECT volume_id, pixels_sha256 FROM volumes WHERE pixels_sha256 IS NOT NULL), "
    f"torn AS (SELECT image FROM images JOIN ({_SAMPLES}) USING (volume_id) GROUP BY image "
    "HAVING count(DISTINCT split) > 1) "
    "SELECT DISTINCT volume_id AS item FROM images JOIN torn USING (image)",
    {
        "samples": f"SELECT count(*) FROM ({_SAMPLES})",
        "images of two patients": "SELECT count(*) FROM (SELECT pixels_sha256 FROM candidates "
        "WHERE pixels_sha256 IS NOT NULL GROUP BY ALL HAVING count(DISTINCT patient_id) > 1)",
        "images of two studies": "SELECT count(*) FROM (SELECT pixels_sha256 FROM candidates "
        "WHERE pixels_sha256 IS NOT NULL GROUP BY ALL HAVING count(DISTINCT study_id) > 1)",
    },
)

_TOLD = "SELECT owner_kind, owner_id, waits_for FROM waiting"

WAITING = Statement(
    "what waits is what lacks its other half",
    f"SELECT owner_id AS item FROM ((({WAITS}) EXCEPT ({_TOLD})) UNION ALL "
    f"(({_TOLD}) EXCEPT ({WAITS})))",
    {"wait": "SELECT count(*) FROM waiting"},
    "`fvlm-data curate` writes the table anew",
)

STATEMENTS = (
    FILES,
    SERIES,
    STUDIES,
    REPORTS,
    orphans("masks of volumes", "masks", "volume_id", "volumes"),
    orphans("samples of volumes", "samples", "volume_id", "volumes"),
    orphans("unlabelled samples of volumes", "unlabelled_samples", "volume_id", "volumes"),
    orphans("sentences of reports", "sentences", "report_id", "reports"),
    WAITING,
    PATIENTS,
    IMAGES,
)
