"""slice_references.parquet from the tables of a store and the headers of its source files."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow.parquet as pq

from fvlm_data.export.slice_references.found import References
from fvlm_data.export.slice_references.headers import existing_vault, numbered
from fvlm_data.export.slice_references.resolved import Place, centre_mm, plausible, resolved
from fvlm_data.export.slice_references.row import TABLE, SliceReference
from fvlm_data.reports.language.records import ASSERTING_SECTIONS
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.export.slice_references.found import Reference
    from fvlm_data.export.slice_references.resolved import Numbered
    from fvlm_data.export.target import Draft
    from fvlm_data.identity.vault import Vault
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

REFERENCES = "slice_references.parquet"
SUMMARY = "summary.json"
STUDIES_AT_ONCE = 500

STUDIES = """
SELECT v.study_id, min(v.patient_id), any_value(p.split) FROM volumes v
LEFT JOIN splits p ON p.patient_id = v.patient_id
WHERE v.study_id IN (SELECT study_id FROM study_reports) GROUP BY v.study_id ORDER BY v.study_id
"""

SENTENCES = """
SELECT j.study_id, s.report_id, s.sentence, s.start, s.text, s.anatomies,
    (SELECT coalesce(list_sort(list(DISTINCT f.finding)), []) FROM findings f
     WHERE f.report_id = s.report_id AND f.sentence = s.sentence
     AND f.status IN ('present', 'uncertain'))
FROM study_reports j JOIN sentences s ON s.report_id = j.report_id
WHERE j.study_id IN (SELECT unnest($studies)) 
    AND s.section IN (SELECT unnest($sections)) AND regexp_matches(s.text, '[0-9]')
ORDER BY j.study_id, s.report_id, s.sentence
"""

VOLUMES = """
SELECT v.study_id, v.volume_id, v.source_files, v.shape, v.affine_ras, min(s.sample_id)
FROM volumes v LEFT JOIN samples s ON s.volume_id = v.volume_id
WHERE v.study_id IN (SELECT unnest($studies)) GROUP BY ALL ORDER BY v.study_id, v.volume_id
"""

EXTENTS = """
SELECT volume_id, class_system, class_name, bbox FROM masks
WHERE volume_id IN (SELECT unnest($volumes)) ORDER BY ALL
"""


class _Sentence(NamedTuple):
    report_id: str
    sentence: int
    start: int
    text: str
    anatomies: Sequence[str]
    findings: Sequence[str]


class _Volume(NamedTuple):
    volume_id: str
    source_files: Sequence[str]
    shape: Sequence[int]
    affine_ras: Sequence[float]
    sample_id: str | None


class _Study(NamedTuple):
    """A study with the sentences that name images, its volumes and the extents of anatomies."""

    study_id: str
    patient_id: str
    split: str | None
    named: Sequence[tuple[_Sentence, Reference]]
    volumes: Mapping[str, _Volume]
    numbers: Sequence[Numbered]
    extents: Mapping[str, Mapping[str, tuple[int, int]]]


def write(
    store: Store,
    draft: Draft,
    progress: Callable[[int, int], None],
    *,
    vocabulary: Vocabulary,
    vault: Path | None,
) -> None:
    """Write `slice_references.parquet` (columns: row.py) and `summary.json`, which counts its rows.

    `vault` is the folder of the store's vault; by default that which the program would take.

    Raises:
        StoreError: a table or the vault cannot be read.
    """
    tables = Relations(store)
    opened = existing_vault(store, vault)
    finder = References(vocabulary.references)
    studies = tables.rows(STUDIES)
    counted: Counter[str] = Counter()
    with draft.open(REFERENCES) as handle, pq.ParquetWriter(handle, TABLE.schema) as written:
        for start in range(0, len(studies), STUDIES_AT_ONCE):
            part = studies[start : start + STUDIES_AT_ONCE]
            told = _studies(tables, part, finder, opened, vocabulary)
            rows = [row for study in told for row in _rows(study)]
            counted.update(row.outcome for row in rows)
            counted.update("implausible" for row in rows if row.plausible is False)
            if rows:
                written.write_table(TABLE.to_arrow(rows))
            progress(start + len(part), len(studies))
    draft.write(SUMMARY, json.dumps(dict(sorted(counted.items())), indent=1).encode())


def _named(
    tables: Relations, studies: list[str], finder: References
) -> dict[str, list[tuple[_Sentence, Reference]]]:
    """References by study, with their sentences, in the order of the reports."""
    found: dict[str, list[tuple[_Sentence, Reference]]] = defaultdict(list)
    asked = {"studies": studies, "sections": sorted(ASSERTING_SECTIONS)}
    for study, *told in tables.rows(SENTENCES, asked):
        sentence = _Sentence(*told)
        for reference in finder.of(sentence.text):
            found[study].append((sentence, reference))
    return found


def _studies(
    tables: Relations,
    part: Sequence[tuple[Any, ...]],
    finder: References,
    vault: Vault | None,
    vocabulary: Vocabulary,
) -> Iterator[_Study]:
    """Those of some studies of which a report names an image; all are asked for at once."""
    named = _named(tables, [study for study, *_ in part], finder)
    shown: dict[str, dict[str, _Volume]] = defaultdict(dict)
    for study, *row in tables.rows(VOLUMES, {"studies": list(named)}):
        volume = _Volume(*row)
        shown[study][volume.volume_id] = volume
    volumes = [volume for one in shown.values() for volume in one.values()]
    asked = [(one.volume_id, one.source_files, one.shape[2]) for one in volumes]
    numbers = {one.volume_id: one for one in numbered(tables, vault, asked)}
    extents = _extents(tables, [one.volume_id for one in volumes], vocabulary)
    for study, patient, split in part:
        if study in named:
            mine = [numbers[volume] for volume in shown[study]]
            yield _Study(study, patient, split, named[study], shown[study], mine, extents)


def _extents(
    tables: Relations, volumes: list[str], vocabulary: Vocabulary
) -> dict[str, dict[str, tuple[int, int]]]:
    """By volume and anatomy the slices [k0, k1) that a class of it reaches."""
    made: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    anatomies: dict[str, dict[str, list[str]]] = {}
    for volume, system, name, box in tables.rows(EXTENTS, {"volumes": volumes}):
        if system not in anatomies:
            anatomies[system] = defaultdict(list)
            for anatomy, classes in vocabulary.classes_of(system).items():
                for one in classes:
                    anatomies[system][one].append(anatomy)
        for anatomy in anatomies[system].get(name, ()):
            low, high = made[volume].get(anatomy, (box[2], box[5]))
            made[volume][anatomy] = min(low, box[2]), max(high, box[5])
    return made


def _rows(study: _Study) -> Iterator[SliceReference]:
    for sentence, reference in study.named:
        place = resolved(reference, study.numbers)
        volume = study.volumes.get(place.volume_id or "")
        yield SliceReference(
            patient_id=study.patient_id,
            split=study.split,
            study_id=study.study_id,
            report_id=sentence.report_id,
            sentence=sentence.sentence,
            start=sentence.start + reference.start,
            end=sentence.start + reference.end,
            text=sentence.text,
            anatomies=tuple(sentence.anatomies),
            findings=tuple(sentence.findings),
            form=reference.form,
            series_number=reference.series,
            image_number=reference.first,
            last_image_number=reference.last,
            outcome=place.outcome,
            **_place(volume, place),
            plausible=plausible(
                place, sentence.anatomies, study.extents.get(place.volume_id or "", {})
            ),
        )


def _place(volume: _Volume | None, place: Place) -> dict[str, Any]:
    """Columns of where it lies."""
    ends = [place.first, place.last]
    positions = [
        None if volume is None or k is None else centre_mm(volume.affine_ras, volume.shape, k)
        for k in ends
    ]
    return {
        "volume_id": place.volume_id,
        "sample_id": volume.sample_id if volume else None,
        "slice": place.first,
        "last_slice": place.last,
        "position_mm": positions[0],
        "last_position_mm": positions[1],
    }
