"""Makes store_v1.tgz: run with the checkout of version 1 (before `fvlm_data/store/`) on PYTHONPATH.

    python make_store_v1.py PHANTOM_STORE OUT

PHANTOM_STORE is a store of phantoms made by the same program. Three of its volumes are thinned to
a few thousand voxels, so that what is kept is small; they go through all stages from NIfTI, a
folder of masks and a CSV of reports. OUT was packed by `tar czf store_v1.tgz *` within it.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import yaml

CASES = 3


def thinned(source: Path, target: Path, dtype: Any) -> None:
    image = nib.load(source)
    voxels = np.asarray(image.dataobj)[::4, ::4, ::2].astype(dtype)
    nib.save(nib.Nifti1Image(voxels, image.affine @ np.diag([4, 4, 2, 1])), target)


def write_sources(phantom: Path, out: Path) -> None:
    from fvlm_data.store import Store

    store = Store.open(phantom)
    masks = store.read("masks").to_pylist()
    path_of = {row["volume_id"]: row["path"] for row in masks}
    report_of = {r["study_id"]: r["report_id"] for r in store.read("study_reports").to_pylist()}
    text_of = {row["report_id"]: row["text"] for row in store.read("reports").to_pylist()}
    volumes = [r for r in store.read("volumes").to_pylist() if r["study_id"] in report_of]
    first = {row["patient_id"]: row for row in sorted(volumes, key=lambda r: r["volume_id"])}
    (out / "nifti").mkdir(parents=True)
    (out / "masks").mkdir()
    rows = []
    for number, volume in enumerate(list(first.values())[:CASES], start=1):
        name = f"case_{number}.nii.gz"
        thinned(phantom / volume["path"], out / "nifti" / name, np.int16)
        thinned(phantom / path_of[volume["volume_id"]], out / "masks" / name, np.uint8)
        rows.append([name, text_of[report_of[volume["study_id"]]]])
    with (out / "reports.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([["volume_name", "report"], *rows])
    classes = {int(row["class_value"]): row["class_name"] for row in masks}
    content = yaml.safe_dump({"class_system": "phantom", "classes": classes})
    (out / "classes.yaml").write_text(content)


def curate_sources(out: Path) -> None:
    from fvlm_data.config import load_config
    from fvlm_data.curate import curate

    os.chdir(out)
    values = {
        "store": "store",
        "identity": {"vault": "vault"},
        "sources": [{"kind": "nifti", "path": "nifti", "name": "cases"}],
        "reports": [{"path": "reports.csv"}],
        "segment": {"backend": "precomputed", "masks": "masks", "classes": "classes.yaml"},
        "shard": {"spacing_mm": [12.0, 12.0, 12.0], "dtype": "uint8"},
        "pair": {"split": {"train": 0.5, "validation": 0.0, "test": 0.5}},
        "qc": {"enabled": False},
    }
    curate(load_config(None, (), values))


if __name__ == "__main__":
    write_sources(Path(sys.argv[1]), Path(sys.argv[2]))
    curate_sources(Path(sys.argv[2]))
