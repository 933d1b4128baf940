"""What the tables hold of studies, as pairs are made of it."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.export.organ_pairs.told import SIDES, Mention, Said
from fvlm_data.pairing.lobes import lobes_of
from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.store.relations import Relations
    from fvlm_data.vocabulary import Vocabulary

BOTH = "bilateral"

REGIONS = """
SELECT v.study_id, v.volume_id, v.patient_id, p.split, v.path, m.path, m.task, m.class_system,
    m.class_name, m.class_value, m.bbox, m.volume_ml, m.touches_border
FROM volumes v JOIN masks m ON m.volume_id = v.volume_id
LEFT JOIN splits p ON p.patient_id = v.patient_id
WHERE v.study_id IN (SELECT unnest($studies)) AND m.voxels > 0
ORDER BY v.study_id, v.volume_id, m.task, m.class_value
"""

STATES = """
SELECT study_id, anatomy, state, sources FROM anatomy_texts
WHERE study_id IN (SELECT unnest($studies)) ORDER BY study_id, anatomy
"""

SENTENCES = """
SELECT concat_ws(':', s.report_id, s.start, s."end"), s.report_id, s.sentence, s.text,
    s.anatomies, s.assessments
FROM sentences s WHERE s.report_id IN (
    SELECT report_id FROM study_reports WHERE study_id IN (SELECT unnest($studies)))
"""

MENTIONS = """
SELECT report_id, sentence, anatomy, finding, status, laterality, location
FROM findings WHERE status IN ('present', 'uncertain', 'absent', 'historical') AND report_id IN (
    SELECT report_id FROM study_reports WHERE study_id IN (SELECT unnest($studies)))
ORDER BY report_id, sentence, start, "end", finding
"""


class Region(NamedTuple):
    """A class of a label map in a volume."""

    volume_id: str
    patient_id: str
    split: str | None
    path: str
    mask_path: str
    task: str
    class_system: str
    class_name: str
    class_value: int
    bbox: Sequence[int]
    volume_ml: float
    touches_border: bool


class Spoken(NamedTuple):
    """What the reports of a study say, by anatomy."""

    states: dict[str, str]
    sentences: dict[str, list[Said]]


def regions(tables: Relations, studies: Sequence[str]) -> dict[str, list[Region]]:
    """Regions with a voxel, by study, in the order of volumes, tasks and class values."""
    found: dict[str, list[Region]] = defaultdict(list)
    for study, *row in tables.rows(REGIONS, {"studies": list(studies)}):
        found[study].append(Region(*row))
    return found


def spoken(tables: Relations, studies: Sequence[str], vocabulary: Vocabulary) -> dict[str, Spoken]:
    """What is said of the anatomies of each study that has texts."""
    asked = {"studies": list(studies)}
    lobes = lobes_of(vocabulary)
    mentions: dict[tuple[str, int, str], list[Mention]] = defaultdict(list)
    for report, number, anatomy, finding, status, side, place in tables.rows(MENTIONS, asked):
        told = Mention(finding, status, side, tuple(lobes.of(place or "")))
        mentions[report, number, anatomy].append(told)
    sides = _Sides(vocabulary)
    said: dict[tuple[str, str], Said] = {}
    for source, report, number, text, anatomies, assessments in tables.rows(SENTENCES, asked):
        named = sides.of(text)
        for anatomy, assessment in zip(anatomies, assessments, strict=True):
            of_it = tuple(mentions.get((report, number, anatomy), ()))
            said[source, anatomy] = Said(source, text, assessment, of_it, named)
    found: dict[str, Spoken] = defaultdict(lambda: Spoken({}, {}))
    for study, anatomy, state, sources in tables.rows(STATES, asked):
        found[study].states[anatomy] = state
        found[study].sentences[anatomy] = [said[source, anatomy] for source in sources]
    return dict(found)


class _Sides:
    """Finds the sides that the words of a sentence name."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        # a single letter is more often a vertebra or a unit than a side
        self._words = {
            side: re.compile(
                rf"\b(?:{wording([one for one in vocabulary.sides[side] if len(one) > 1])})\b",
                re.IGNORECASE,
            )
            for side in (*SIDES, BOTH)
        }

    def of(self, text: str) -> frozenset[str]:
        found = {side for side, words in self._words.items() if words.search(text)}
        return frozenset(SIDES) if BOTH in found else frozenset(found)
