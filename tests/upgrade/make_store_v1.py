"""Makes the store of an older program: run with that program's checkout on PYTHONPATH.

    python make_store_v1.py PHANTOM_STORE OUT

PHANTOM_STORE is a store of phantoms made by the same program; three of its volumes are thinned to a
few thousand voxels, so that what is kept is small.
"""

import csv
import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from fvlm_data.config import load_config
from fvlm_data.curate import curate

from fvlm_data.store import Store

src, out = sys.argv[1], Path(sys.argv[2])
store = Store.open(src)
(out / "nifti").mkdir(parents=True)
(out / "masks").mkdir()
masked = {r["volume_id"]: r["path"] for r in store.read("masks").to_pylist()}
pairs = {r["study_id"]: r["report_id"] for r in store.read("study_reports").to_pylist()}
texts = {r["report_id"]: r["text"] for r in store.read("reports").to_pylist()}
rows, studies, labels = [], [], set()
vols = [r for r in store.read("volumes").to_pylist() if r["study_id"] in pairs]
vols.sort(key=lambda r: r["volume_id"])
seen = set()
n = 0
classes = {int(r["class_value"]): r["class_name"] for r in store.read("masks").to_pylist()}
for r in vols:
    if r["patient_id"] in seen:
        continue
    seen.add(r["patient_id"])
    n += 1
    name = f"case_{n}"
    for path, folder in ((r["path"], "nifti"), (masked[r["volume_id"]], "masks")):
        image = nib.load(os.path.join(src, path))
        data = np.asarray(image.dataobj)[::4, ::4, ::2]
        affine = image.affine @ np.diag([4, 4, 2, 1])
        nib.save(
            nib.Nifti1Image(data.astype(np.int16 if folder == "nifti" else np.uint8), affine),
            out / folder / f"{name}.nii.gz",
        )
    studies.append([f"{name}.nii.gz", f"S{n}", f"P{n}"])
    rows.append([f"{name}.nii.gz", texts[pairs[r["study_id"]]]])
    if n == 3:
        break
with open(out / "reports.csv", "w", newline="") as f:
    w = csv.writer(f)
    w.writerow(["volume_name", "report"])
    w.writerows(rows)
yaml.safe_dump({"class_system": "phantom", "classes": classes}, open(out / "classes.yaml", "w"))
os.chdir(out)
config = load_config(
    None,
    (),
    {
        "store": "store",
        "identity": {"vault": "vault"},
        "sources": [{"kind": "nifti", "path": "nifti", "name": "cases"}],
        "reports": [{"path": "reports.csv"}],
        "segment": {"backend": "precomputed", "masks": "masks", "classes": "classes.yaml"},
        "shard": {"spacing_mm": [12.0, 12.0, 12.0], "dtype": "uint8"},
        "pair": {"split": {"train": 0.5, "validation": 0.0, "test": 0.5}},
        "qc": {"enabled": False},
    },
)
s = curate(config)
print(s.stages, s.tables, s.set_aside)
