"""cases.jsonl from the tables of a store."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from fvlm_data.export.cases.patches import overlaps, patches
from fvlm_data.export.labels import labels_of
from fvlm_data.export.layouts.scans import listed_studies
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.export.layouts.scans import Listed
    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

CASES = "cases.jsonl"
SUMMARY = "summary.json"
CASES_AT_ONCE = 200
MODALITY = "CT"

IMAGES = """
SELECT v.study_id, v.volume_id, v.path, v.shape, v.spacing_mm, v.affine_ras, v.kernel,
    c.body_region, c.contrast, c.phase
FROM volumes v LEFT JOIN volume_checks c ON c.volume_id = v.volume_id
WHERE v.study_id IN (SELECT unnest($studies)) ORDER BY v.study_id, v.volume_id
"""
IMAGE_COLUMNS = (
    "volume_id", "path", "shape", "spacing_mm", "affine_ras", "kernel", "body_region", "contrast",
    "phase",
)  # fmt: skip

SAMPLES = """
SELECT volume_id, min(sample_id) FROM samples WHERE study_id IN (SELECT unnest($studies))
GROUP BY volume_id
"""

EXTENTS = """
SELECT m.volume_id, m.class_system, m.class_name, m.bbox FROM masks m
JOIN volumes v ON v.volume_id = m.volume_id
WHERE v.study_id IN (SELECT unnest($studies)) AND m.voxels > 0 ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a case is, its label set, and the edge of patches in mm."""

    case: Literal["study", "patient"]
    label_set: str
    patch_mm: float


def write(
    store: Store,
    draft: Draft,
    progress: Callable[[int, int], None],
    *,
    vocabulary: Vocabulary,
    asked: Asked,
) -> None:
    """Write `cases.jsonl`, a line for each case with a report and a split, and `summary.json`.

    A line has case_id, patient_id, split, labels (1, 0, or the set's value of not mentioned; of
    several studies the greatest), and studies in the order of their dates, each with study_id, days
    since the case's first and images; an image has volume_id, sample_id, path in the store,
    modality, shape, spacing_mm, affine_ras, kernel, body_region, contrast, phase and patches, each
    with box (i0, j0, k0, i1, j1, k1; end exclusive) and the anatomies whose boxes it meets.

    Raises:
        ConfigError: the vocabulary has no label set of that name.
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    wanted = vocabulary.label_set(asked.label_set)
    listed = listed_studies(tables)
    labels = dict(labels_of(tables, _reported(tables, listed), wanted, vocabulary))
    cases = [list(some) for _, some in groupby(listed, key=_key(asked))]
    counted: Counter[str] = Counter(cases=0, studies=0, images=0, patches=0)
    with draft.open(CASES) as handle:
        for start in range(0, len(cases), CASES_AT_ONCE):
            part = cases[start : start + CASES_AT_ONCE]
            images = _images(tables, [one.study_id for some in part for one in some], vocabulary,
                             asked)  # fmt: skip
            for some in part:
                told = [labels[one.study_id] for one in some if one.study_id in labels]
                if not told or some[0].split is None:
                    counted["without_split" if told else "without_report"] += 1
                    continue
                record = _record(some, told, images, asked)
                _count(record, counted)
                handle.write(json.dumps(record).encode() + b"\n")
            progress(min(start + CASES_AT_ONCE, len(cases)), len(cases))
    draft.write(SUMMARY, json.dumps(dict(sorted(counted.items())), indent=1).encode())


def _reported(tables: Relations, listed: Sequence[Listed]) -> list[str]:
    reported = {study for (study,) in tables.rows("SELECT DISTINCT study_id FROM study_reports")}
    return [one.study_id for one in listed if one.study_id in reported]


def _key(asked: Asked) -> Callable[[Listed], str]:
    return lambda one: one.patient_id if asked.case == "patient" else one.study_id


def _images(
    tables: Relations, studies: Sequence[str], vocabulary: Vocabulary, asked: Asked
) -> Mapping[str, list[dict[str, Any]]]:
    """Images by study, with their patches."""
    chosen = {"studies": list(studies)}
    samples = dict(tables.rows(SAMPLES, chosen))
    extents = _extents(tables, chosen, vocabulary)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for study, *row in tables.rows(IMAGES, chosen):
        image = dict(zip(IMAGE_COLUMNS, row, strict=True))
        reach = extents.get(image["volume_id"], ())
        image |= {
            "sample_id": samples.get(image["volume_id"]),
            "modality": MODALITY,
            "patches": [
                {
                    "box": list(box),
                    "anatomies": sorted({one for one, of_it in reach if overlaps(box, of_it)}),
                }
                for box in patches(image["shape"], image["spacing_mm"], asked.patch_mm)
            ],
        }
        found[study].append(image)
    return found


def _extents(
    tables: Relations, chosen: Mapping[str, Any], vocabulary: Vocabulary
) -> dict[str, list[tuple[str, Sequence[int]]]]:
    """By volume the box of each class, under each anatomy that the class belongs to."""
    anatomies: dict[str, dict[str, list[str]]] = {}
    found: dict[str, list[tuple[str, Sequence[int]]]] = defaultdict(list)
    for volume, system, name, box in tables.rows(EXTENTS, chosen):
        if system not in anatomies:
            anatomies[system] = defaultdict(list)
            for anatomy, classes in vocabulary.classes_of(system).items():
                for one in classes:
                    anatomies[system][one].append(anatomy)
        found[volume] += [(anatomy, box) for anatomy in anatomies[system].get(name, ())]
    return found


def _record(
    some: Sequence[Listed],
    told: Sequence[Mapping[str, int]],
    images: Mapping[str, list[dict[str, Any]]],
    asked: Asked,
) -> dict[str, Any]:
    first = some[0]
    return {
        "case_id": first.patient_id if asked.case == "patient" else first.study_id,
        "patient_id": first.patient_id,
        "split": first.split,
        # of several studies: there if it was ever there, denied if it was denied and never there
        "labels": {name: max(one[name] for one in told) for name in told[0]},
        "studies": [
            {
                "study_id": one.study_id,
                "days": _days(first.acquired_on, one.acquired_on),
                "images": images[one.study_id],
            }
            for one in some
        ],
    }


def _days(first: str | None, day: str | None) -> int | None:
    if first is None or day is None:
        return None
    return (dt.date.fromisoformat(day) - dt.date.fromisoformat(first)).days


def _count(record: Mapping[str, Any], counted: Counter[str]) -> None:
    images = list(_all_images(record))
    counted["cases"] += 1
    counted["studies"] += len(record["studies"])
    counted["images"] += len(images)
    counted["patches"] += sum(len(one["patches"]) for one in images)
    counted["cases_of_several_images"] += len(images) > 1


def _all_images(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for study in record["studies"]:
        yield from study["images"]
