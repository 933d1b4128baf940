"""Dice, CPU time and memory of the backend `threshold`.

Synthetic patients by default; --examples names a folder with TotalSegmentator's example images
and masks (example_ct_sm.nii.gz, example_ct_dicom and so on). Lungs and bones count as one class
each; what else was called bone is told beside.

python bench/threshold.py --examples FOLDER --slices 300
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import real_ct

from fvlm_data.phantom import generate
from fvlm_data.segment.backend import VolumeImage
from fvlm_data.segment.threshold import Threshold
from fvlm_data.store.declared import Reject

Array = np.ndarray[Any, Any]

BONES = ("vertebrae_*", "rib_*", "sternum", "hip_*", "sacrum", "femur_*", "humerus_*", "scapula_*")
GROUPS = {
    "lung_left": ("lung_*_left",),
    "lung_right": ("lung_*_right",),
    "airway": ("trachea",),
    "bone": (*BONES, "clavicula_*", "skull"),
}
"""Classes of the backend, and of TotalSegmentator."""


@dataclass(frozen=True, slots=True)
class Case:
    """An image and a label map of it."""

    name: str
    image: Array
    labels: Array
    affine: Array
    classes: Mapping[int, str]


def main() -> None:
    """Print a line for each image, and one for a large one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--examples", type=Path, help="folder of TotalSegmentator's examples")
    parser.add_argument("--patients", type=int, default=6, help="synthetic ones")
    parser.add_argument("--size", type=int, default=512, help="rows and columns of the large one")
    parser.add_argument("--slices", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        last = None
        for case in _synthetic(Path(scratch), arguments.patients):
            last = case
            _told(case)
        if arguments.examples is not None:
            for case in _examples(arguments.examples):
                last = case
                _told(case)
        if last is not None:
            _large(last, arguments.size, arguments.slices)


def _synthetic(root: Path, patients: int) -> Iterator[Case]:
    generate(root, patients=patients, seed=7)
    masks = root / "masks"
    for series in sorted(root.glob("dicom/*/*/SE*")):
        first = pydicom.dcmread(next(series.iterdir()), stop_before_pixels=True)
        mask = masks / f"{first.SeriesInstanceUID}.nii.gz"
        if mask.is_file():
            made = real_ct.read_pair(series, mask, str(masks / "classes.yaml"))
            yield Case("synthetic", *made[:4])


def _examples(folder: Path) -> Iterator[Case]:
    pair = real_ct.read_pair(
        folder / "example_ct_dicom", folder / "example_seg_dicom.nii.gz", "totalsegmentator_v2"
    )
    yield Case("dicom series", *pair[:4])
    image, affine = _load(folder / "example_ct_sm.nii.gz")
    for name in ("example_seg", "example_seg_fast"):
        labels, _ = _load(folder / f"{name}.nii.gz")
        yield Case(name, image, labels, affine, pair[3])
    chest = {"chest_1p5mm": ["pulmonary_artery"], "aorta_1p5mm": ["aorta", "vertebrae_T12"]}
    for name, classes in chest.items():
        image, affine = _load(folder / name / "ct.nii.gz")
        labels = np.zeros(image.shape, np.uint8)
        for value, one in enumerate(classes, 1):
            labels[_load(folder / name / f"{one}.nii.gz")[0] > 0] = value
        yield Case(name, image, labels, affine, dict(enumerate(classes, 1)))


def _load(path: Path) -> tuple[Array, Array]:
    image = nib.load(path)
    return np.asarray(image.dataobj).astype(np.int16), image.affine


def _told(case: Case) -> None:
    begun = time.process_time()
    made = Threshold()(VolumeImage("v_1", case.image, case.affine))
    spent = time.process_time() - begun
    size = " x ".join(map(str, case.image.shape))
    if isinstance(made, Reject):
        print(f"{case.name} {size}: {made.reason}")
        return
    values = {name: value for value, name in made.classes.items()}
    parts = []
    for name, patterns in GROUPS.items():
        theirs, mine = _named(case, patterns), made.labels == values[name]
        if theirs.any() and len(case.classes) > 2:
            parts.append(f"{name} {_dice(mine, theirs):.3f}")
    for value, name in case.classes.items():
        inside = case.labels == value
        bone = float(np.mean(made.labels[inside] == values["bone"])) if inside.any() else 0.0
        if len(case.classes) <= 2 or (
            bone > 0.03 and not _named(case, GROUPS["bone"])[inside].any()
        ):
            parts.append(f"{100 * bone:.0f} % of {name} called bone")
    print(f"{case.name:<18}{size:<18}{spent:5.1f} CPU-s  {', '.join(parts)}")


def _named(case: Case, patterns: tuple[str, ...]) -> Array:
    from fnmatch import fnmatchcase

    values = [v for v, name in case.classes.items() if any(fnmatchcase(name, p) for p in patterns)]
    return np.isin(case.labels, values)


def _dice(mine: Array, theirs: Array) -> float:
    return float(2 * np.count_nonzero(mine & theirs) / (np.count_nonzero(mine) + theirs.sum()))


def _large(case: Case, size: int, slices: int) -> None:
    """CPU time and memory of the case brought to size x size x slices, its extent unchanged."""
    from scipy import ndimage

    factors = [
        wanted / have for wanted, have in zip((size, size, slices), case.image.shape, strict=True)
    ]
    image = ndimage.zoom(case.image, factors, order=1)
    affine = case.affine @ np.diag([*(1 / factor for factor in factors), 1.0])
    before = _peak_mib()
    begun = time.process_time()
    Threshold()(VolumeImage("v_1", image, affine))
    spent = time.process_time() - begun
    grown = _peak_mib() - before
    shape = " x ".join(map(str, image.shape))
    own = image.nbytes / 2**20
    print(f"{shape}: {spent:.1f} CPU-s, {grown:.0f} MiB beside the image's {own:.0f}")


def _peak_mib() -> float:
    """The most memory that this process has had, of ITK's too."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
