"""Files that were set aside before anybody knew their series, and the series that may lack them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from fvlm_data.ingest.discovery.archive import is_archive
from fvlm_data.ingest.discovery.opener import MEMBER_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.store.declared import Row

LOST = """
WITH lost AS (
    SELECT token, series, alike FROM inputs
    WHERE kind = 'file' AND item IS NULL AND alike IS NOT NULL
), known AS (
    SELECT DISTINCT item, series, alike FROM inputs WHERE kind = 'file' AND item <> ''
)
SELECT DISTINCT k.item, l.token, true AS named FROM known k JOIN lost l ON l.series = k.series
UNION ALL
SELECT DISTINCT k.item, l.token, false AS named FROM known k JOIN lost l ON l.alike = k.alike
WHERE l.series IS NULL
"""
"""For each series the files that may be slices of it and cannot be used: their header names it, or
(`named` is false) their folder and the form of their name are those of its files."""

SHORT = """
WITH announcing AS (
    SELECT DISTINCT series FROM inputs WHERE kind = 'file' AND series_instances IS NOT NULL
), announcing_study AS (
    SELECT DISTINCT study FROM inputs WHERE kind = 'file' AND study_instances IS NOT NULL
), series_short AS (
    SELECT series, max(series_instances) AS announced, count(DISTINCT fingerprint) AS found
    FROM inputs JOIN announcing USING (series) WHERE kind = 'file'
    GROUP BY series HAVING announced > found
), study_short AS (
    SELECT study, max(study_instances) AS announced, count(DISTINCT fingerprint) AS found
    FROM inputs JOIN announcing_study USING (study) WHERE kind = 'file'
    GROUP BY study HAVING announced > found
)
SELECT DISTINCT item, 'NumberOfSeriesRelatedInstances' AS element, announced, found
FROM inputs JOIN series_short USING (series) WHERE kind = 'file' AND item <> ''
UNION ALL
SELECT DISTINCT item, 'NumberOfStudyRelatedInstances', announced, found
FROM inputs JOIN study_short USING (study) WHERE kind = 'file' AND item <> ''
"""
"""Series of which, or of whose study, fewer instances came than header or server announce.

Copies of one file count once. Files are counted only where a count is announced, and joined by
equality: few archives announce any, and every plan asks.
"""

MAY_BE_A_SLICE = frozenset(
    {"empty_file", "unreadable_file", "unreadable_header", "file_name_not_unicode"}
    | {"no_pixel_data", "no_series_identifier", "modality_unknown", "burned_in_annotation"}
    | {"not_dicom", "damaged_archive", "encrypted_member", "member_too_large"}
    | {"unpacks_to_too_much", "not_enough_memory", "named_by_dicomdir"}
    | {"crashed", "timed_out", "out_of_memory"}
)
"""Reasons of discovery under which a slice of a CT series may hide."""

LONGEST_NUMBER = 9
"""A longer run of digits is part of a UID or a hash and does not count slices."""


def name_form(relative: str) -> str:
    """What the names of the slices of one series share: folder, and the name without numbers.

    An archive is one whole, since a cut one does not tell what else it held.
    """
    archive, mark, _ = relative.partition(MEMBER_MARK)
    return archive if mark or is_archive(archive) else _form(relative)


def lacking(
    lost: Sequence[Row], short: Sequence[Row], own: Iterable[str], paths: Mapping[str, str]
) -> str:
    """What a series lacks, as a sentence without names; empty where nothing is known to lack.

    `lost` and `short` are rows of the views of that name, `own` the relative paths of the
    series' files, `paths` those of the lost files by token.
    """
    mine = list(own)
    files = [row for row in lost if row["named"] or _is_next_to(paths.get(row["token"], ""), mine)]
    if files:
        return (
            f"{len(files)} file(s) that may be slices of it were set aside when the source was "
            "searched (stage discover)"
        )
    for row in sorted(short, key=lambda row: str(row["element"])):
        return f"{row['element']} announces {row['announced']}, found {row['found']}"
    return ""


def _is_next_to(lost: str, own: Sequence[str]) -> bool:
    """Whether a file's number lies among those of a series, or one step beyond them."""
    archive, mark, _ = lost.partition(MEMBER_MARK)
    if not mark and any(one.startswith(f"{archive}{MEMBER_MARK}") for one in own):
        return True  # the archive itself, which is damaged
    form = _form(lost)
    alike = [one for one in own if _form(one) == form]
    number, numbers = _number(lost), sorted({_number(one) for one in alike})
    if not alike or number < 0 or numbers[0] < 0:
        return bool(alike)
    step = max((b - a for a, b in pairwise(numbers)), default=1)
    return numbers[0] - step <= number <= numbers[-1] + step


def _form(relative: str) -> str:
    folder, _, name = relative.lower().rpartition("/")
    # hashes and UUIDs first, since they may hold runs without a digit
    bare = re.sub(r"[0-9a-f]{8}(-?[0-9a-f]{4,})*", "#", name)
    return f"{folder}/{re.sub(r'[#.]*#', '#', re.sub(r'[0-9]+', '#', bare))}"


def _number(relative: str) -> int:
    """The last number of a file's name, -1 where it has none that counts."""
    runs: list[str] = re.findall(r"[0-9]+", relative.rpartition("/")[2])
    hashed = re.search(r"[0-9a-f]{8}", relative.rpartition("/")[2].lower())
    if not runs or (hashed and not hashed[0].isdigit()) or len(runs[-1]) > LONGEST_NUMBER:
        return -1
    return -1 if len(runs) > 4 else int(runs[-1])
