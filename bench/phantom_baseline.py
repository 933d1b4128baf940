"""What simple features reach on the phantom: mean and spread of HU and volume per anatomy.

For each finding, a logistic regression on these three numbers of the finding's anatomy (true
masks, true labels), scored by cross-validation grouped by patient.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fvlm_data.phantom import generate
from fvlm_data.phantom.catalogue import ANATOMIES, ANATOMY_CLASSES, KINDS, VALUE

FOLDS = 5
"""Of the cross-validation; a finding that fewer patients have is not scored."""


def features(mask: Path, hu_ijk: np.ndarray[Any, Any]) -> dict[str, tuple[float, float, float]]:
    """Return mean HU, spread of HU and volume (ml) of each anatomy; 0 where it is not there."""
    import nibabel

    image = nibabel.load(mask)
    labels = np.asarray(image.dataobj)
    voxel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000.0
    found = {}
    for anatomy in ANATOMIES:
        inside = np.isin(labels, [VALUE[name] for name in ANATOMY_CLASSES[anatomy]])
        values = hu_ijk[inside]
        count = values.size
        found[anatomy] = (
            float(values.mean()) if count else 0.0,
            float(values.std()) if count else 0.0,
            count * voxel_ml,
        )
    return found


def read_hu(folder: Path) -> tuple[str, str, np.ndarray[Any, Any]]:
    """Return study UID, series UID and HU (column, row, slice along the normal) of a series."""
    import pydicom

    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    rows = [float(value) for value in slices[0].ImageOrientationPatient]
    normal = np.cross(rows[:3], rows[3:])
    slices.sort(key=lambda one: float(np.dot(normal, one.ImagePositionPatient)))
    slope, intercept = float(slices[0].RescaleSlope), float(slices[0].RescaleIntercept)
    volume = np.stack([one.pixel_array for one in slices]).astype(np.float32)
    volume = np.maximum(volume * slope + intercept, -1024.0)
    first = slices[0]
    return first.StudyInstanceUID, first.SeriesInstanceUID, volume.transpose(2, 1, 0)


def collect(root: Path) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return the features of the first axial series of each study."""
    with (root / "masks" / "manifest.csv").open(newline="") as file:
        masks = {row["volume"]: root / "masks" / row["mask"] for row in csv.DictReader(file)}
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for folder in sorted(root.glob("dicom/*/*/SE*")):
        if len(list(folder.iterdir())) < 2:
            continue
        study, series, hu_ijk = read_hu(folder)
        if study not in found:
            found[study] = features(masks[series], hu_ijk)
    return found


def score(table: np.ndarray[Any, Any], truth: np.ndarray[Any, Any], groups: list[str]) -> float:
    """Return the AUC of a logistic regression, cross-validated by patient."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    chances = cross_val_predict(
        model, table, truth, groups=groups, cv=folds, method="predict_proba"
    )
    return float(roc_auc_score(truth, chances[:, 1]))


def main() -> None:
    """Generate (or read) a phantom and print the AUC of each finding."""
    import pyarrow.parquet as pq

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--phantom", type=Path, help="a phantom that stands already")
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.phantom or Path(scratch) / "phantom"
        if not root.exists():
            summary = generate(
                root,
                patients=arguments.patients,
                seed=arguments.seed,
                workers=arguments.workers,
                progress=lambda done, of: print(f"\r{done}/{of}", end="", file=sys.stderr),
            )
            print(f"\n{summary}\ngenerated in {time.perf_counter() - started:.0f} s")
        found = collect(root)
        rows = pq.read_table(root / "truth.parquet").to_pylist()
    report(found, rows)


def report(found: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Print a line for each finding, then the mean."""
    scores = []
    print(f"{'finding':36} {'imaged':>6} {'scans':>5} {'share':>6} {'patients':>8} {'AUC':>6}")
    for kind in KINDS:
        mine = [
            row
            for row in rows
            if row["finding"] == kind.finding and row["imaged"] and row["study_uid"] in found
        ]
        table = np.array([found[row["study_uid"]][kind.anatomy] for row in mine])
        truth = np.array([row["present"] for row in mine])
        people = len({row["patient_id"] for row in mine if row["present"]})
        told = f"{kind.finding:36} {len(mine):6d} {truth.sum():5d} {truth.mean():6.3f} {people:8d}"
        if people < FOLDS:
            print(f"{told} {'few':>6}")
            continue
        area = score(table, truth, [row["patient_id"] for row in mine])
        scores.append(area)
        print(f"{told} {area:6.3f}")
    if not scores:
        raise SystemExit(f"no finding is present in {FOLDS} patients: give more --patients")
    print(f"mean AUC over {len(scores)} findings: {np.mean(scores):.3f}")
    print(f"between 0.6 and 0.8: {sum(0.6 <= area <= 0.8 for area in scores)}")


if __name__ == "__main__":
    main()
