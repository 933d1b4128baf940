"""nnU-Net v2: a dataset folder of `nnUNet_raw`, with the patients' splits for training."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.export.nifti import ENDING, write_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fvlm_data.export.source import Source
    from fvlm_data.export.target import Draft

FOLDER_NAME = re.compile(r"Dataset\d{3}_\w+", re.ASCII)
CT_CHANNEL = "_0000"
SPLITS = "splits_final.json"
FOLDS = 5
"""nnU-Net's own number of folds."""


def check_name(folder: Path) -> None:
    """Refuse a folder that nnU-Net would not find.

    Raises:
        InputError: the name is not of the form Dataset123_Name.
    """
    if not FOLDER_NAME.fullmatch(folder.name):
        raise InputError(
            f"folder {folder}: its name is not one that nnU-Net finds; expected Dataset, three "
            "digits, _ and a name, as in nnUNet_raw/Dataset501_Anatomies"
        )


def write(source: Source, draft: Draft, progress: Callable[[int, int], None]) -> None:
    """Train and validation samples in imagesTr and labelsTr, test samples in imagesTs, labelsTs.

    nnU-Net would draw folds by case and so part a patient's volumes: `splits_final.json` gives
    it folds by patient.

    Raises:
        InputError: there is no sample to train on.
        StoreError: a shard cannot be read.
    """
    training = [name for name in ("train", "validation") if name in source.splits]
    if not training:
        raise InputError(
            f"store {source.store}: no sample found in train and validation; nnU-Net needs some"
        )
    write_cases(source, draft, _paths, progress)
    draft.write(SPLITS, _json(folds(source)))
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **source.label_values},
        "numTraining": sum(len(source.splits[name]) for name in training),
        "file_ending": ENDING,
        "description": "CT in HU with label maps of anatomies, written by fvlm-data export nnunet",
    }
    draft.write("dataset.json", _json(description))


def folds(source: Source) -> list[dict[str, list[str]]]:
    """Cases to train on and to validate on, a fold, no patient on both sides.

    One fold, as the store splits, where it has validation samples; else up to five folds by
    patient; none where one patient is all there is.
    """
    if {"train", "validation"} <= source.splits.keys():
        return [{"train": _cases(source, "train"), "val": _cases(source, "validation")}]
    (split,) = source.splits.keys() & {"train", "validation"}
    cases: dict[str, list[str]] = defaultdict(list)
    rows = source.splits[split].rows
    for patient, case in zip(
        rows["patient_id"].to_pylist(), rows["sample_id"].to_pylist(), strict=True
    ):
        cases[patient].append(case)
    patients = sorted(cases)
    count = min(FOLDS, len(patients))
    # every `count`-th patient, ids being hashes: as good as shuffled, and the same every time
    held_out = [patients[fold::count] for fold in range(count if count > 1 else 0)]
    return [
        {
            "train": _joined(cases[p] for p in patients if p not in set(out)),
            "val": _joined(cases[p] for p in out),
        }
        for out in held_out
    ]


def _paths(split: str, sample_id: str) -> tuple[str, str]:
    place = "Ts" if split == "test" else "Tr"
    image = f"images{place}/{sample_id}{CT_CHANNEL}{ENDING}"
    return image, f"labels{place}/{sample_id}{ENDING}"


def _cases(source: Source, split: str) -> list[str]:
    return sorted(source.splits[split].rows["sample_id"].to_pylist())


def _joined(cases: Iterable[list[str]]) -> list[str]:
    return sorted(case for some in cases for case in some)


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
