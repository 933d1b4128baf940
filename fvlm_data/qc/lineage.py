"""Lineage of a study: what each stage took, how it ended and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.qc.templating import words
from schemas.anatomy_texts import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.qc.study_rows import StudyRows

STAGES = (
    "ingest", "select", "segment", "versions", "match", "reports", "split", "pair", "shard",
)  # fmt: skip
"""In the order of the data; stages of packages come after them."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage: what it made, and each of its items with how it ended and in which run."""

    stage: str
    made: tuple[str, ...]
    items: tuple[tuple[str, str, str], ...]


def lineage(study: StudyRows) -> list[Step]:
    """The stages that have settled something of a study, in the order of the data."""
    patients = {volume["patient_id"] for volume in study.volumes}
    by_stage: dict[str, list[tuple[str, str, str]]] = {}
    for row in sorted(study.settled, key=lambda row: (row["stage"], row["item"])):
        # ids of patients stay in the tables
        item = "the patient" if row["item"] in patients else row["item"]
        by_stage.setdefault(row["stage"], []).append((item, words(row["outcome"]), row["run_id"]))
    return [
        Step(stage, tuple(_made(stage.partition(":")[0], study)), tuple(by_stage[stage]))
        for stage in sorted(by_stage, key=_place)
    ]


def _place(stage: str) -> tuple[int, str]:
    base = stage.partition(":")[0]
    return (STAGES.index(base) if base in STAGES else len(STAGES), stage)


def _made(stage: str, study: StudyRows) -> list[str]:
    makers = {
        "ingest": _ingested,
        "select": _selected,
        "segment": _segmented,
        "reports": _read,
        "split": _split,
        "pair": _paired,
        "shard": _sharded,
    }
    return makers[stage](study) if stage in makers else []


def times(values: Sequence[Any], form: str = "{:g}") -> str:
    """Numbers along axes, as 512 x 512 x 120; sizes of voxels to a thousandth of a millimetre."""
    values = [round(value, 3) for value in values]
    return " × ".join(form.format(value) for value in values)  # noqa: RUF001 the sign is meant


def _ingested(study: StudyRows) -> list[str]:
    return [
        f"volume {v['volume_id']}: {times(v['shape'])} voxels of {times(v['spacing_mm'])} mm, "
        f"HU {v['hu_min']} to {v['hu_max']} ({words(v['rescale_decision'])})"
        for v in study.volumes
    ]


def _selected(study: StudyRows) -> list[str]:
    return [f"{len(study.volumes)} of {len(study.candidates)} volumes kept"]


def _segmented(study: StudyRows) -> list[str]:
    made = []
    for volume_id, masks in study.masks.items():
        by = Counter((m["task"], m["backend"], m["backend_version"]) for m in masks)
        made += [
            f"{volume_id}: {n} classes of task {task} by {backend} {version}"
            for (task, backend, version), n in sorted(by.items())
        ]
    return made


def _read(study: StudyRows) -> list[str]:
    return [
        f"{report_id}: {len(sentences)} sentences, {len(study.findings[report_id])} mentions of "
        "findings"
        for report_id, sentences in study.sentences.items()
    ]


def _split(study: StudyRows) -> list[str]:
    return [f"{study.split['split']}, decided by {study.split['source']}"] if study.split else []


def _paired(study: StudyRows) -> list[str]:
    states = Counter(row["state"] for row in study.texts)
    return [", ".join(f"{states[state]} {words(state)}" for state in STATES) + " anatomies"]


def _sharded(study: StudyRows) -> list[str]:
    return [
        f"{s['sample_id']}: place {s['index']} of shard {s['shard']}, split {s['split']}"
        for s in study.samples
    ]
