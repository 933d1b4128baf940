"""MONAI: NIfTI files and a datalist in the form of the Medical Segmentation Decathlon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fvlm_data.export.nifti import ENDING, write_cases
from fvlm_data.export.source import index_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fvlm_data.export.source import Source
    from fvlm_data.export.target import Draft

DATALIST = "dataset.json"
KEYS = {"train": "training", "validation": "validation", "test": "test"}


def write(source: Source, draft: Draft, progress: Callable[[int, int], None]) -> None:
    """Files images/<sample>.nii.gz, labels/<sample>.nii.gz, and dataset.json beside them.

    Raises:
        StoreError: a shard cannot be read.
    """
    write_cases(source, draft, _paths, progress)
    draft.write(DATALIST, (json.dumps(datalist(source), indent=1) + "\n").encode())


def datalist(source: Source) -> dict[str, Any]:
    """The datalist, paths relative to its own folder; a split without samples has no key.

    All items have the same keys, so that MONAI's collate joins them: text and state of an
    anatomy that a sample lacks are "". They lie one level down, since MONAI takes a text at the
    first level for a path where a file of that name exists.
    """
    names = {str(value): anatomy for anatomy, value in source.label_values.items()}
    counts = {KEYS[split]: len(dataset) for split, dataset in source.splits.items()}
    return {
        "name": "fvlm",
        "description": "CT in HU, label maps and texts of anatomies, written by fvlm-data export",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", **names},
        "numTraining": counts.get("training", 0),
        "numTest": counts.get("test", 0),
        **{
            KEYS[split]: [_item(split, row, source.label_values) for row in index_rows(dataset)]
            for split, dataset in source.splits.items()
        },
    }


def _item(split: str, row: dict[str, Any], label_values: Mapping[str, int]) -> dict[str, Any]:
    image, label = _paths(split, row["sample_id"])
    ids = {name: row[name] for name in ("sample_id", "patient_id", "study_id", "volume_id")}
    texts = dict(zip(row["anatomies"], row["texts"], strict=True))
    states = dict(zip(row["anatomies"], row["states"], strict=True))
    return {
        "image": image,
        "label": label,
        **ids,
        "texts": {anatomy: texts.get(anatomy, "") for anatomy in label_values},
        "states": {anatomy: states.get(anatomy, "") for anatomy in label_values},
    }


def _paths(_split: str, sample_id: str) -> tuple[str, str]:
    return f"images/{sample_id}{ENDING}", f"labels/{sample_id}{ENDING}"
