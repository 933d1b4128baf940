"""CPU time and memory of taking a precomputed mask: read, checked, hashed and written.

The pair of an image and its label map is continued along z to --slices. The time of each step is
process time, the memory the highest of all that was taken after the image, over the label map's
own bytes.

python bench/masks.py --series SERIES_FOLDER --mask MASK.nii.gz --slices 311
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import real_ct
from scipy import fft, ndimage  # noqa: F401  (loaded before the clock runs)

from fvlm_data.phantom import generate
from fvlm_data.segment.backend import VolumeImage
from fvlm_data.segment.checks import image_remarks, look, mask_rows
from fvlm_data.segment.class_map import ClassMap
from fvlm_data.segment.mask_content import sha256
from fvlm_data.segment.mask_files import MaskFile
from fvlm_data.segment.nifti import label_map_bytes, read_nifti
from fvlm_data.segment.plausibility.expected import load_expected
from fvlm_data.segment.plausibility.whole import remarks_on
from fvlm_data.segment.precomputed import OfferedMask, Precomputed
from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]
Pair = tuple[Array, Array, Array, Mapping[int, str], str]


def main() -> None:
    """Print a line for each step, and their sums."""
    parser = real_ct.parser(__doc__)
    parser.add_argument("--slices", type=int, default=311)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pair = _pair(arguments, folder)
        image, labels = (real_ct.continued(array, arguments.slices) for array in pair[:2])
        nib.save(nib.Nifti1Image(image, pair[2]), folder / "image.nii.gz")
        nib.save(nib.Nifti1Image(labels.astype(np.uint8), pair[2]), folder / "mask.nii.gz")
        del image, labels
        _measure(folder, pair[2], ClassMap(pair[4], pair[3]))


def _pair(arguments: Any, folder: Path) -> Pair:
    if arguments.series is not None:
        return real_ct.read_pair(arguments.series, arguments.mask, arguments.classes)
    root = folder / "phantom"
    generate(root, patients=1, seed=7)
    series = max(root.glob("dicom/*/*/SE*"), key=lambda found: len(list(found.iterdir())))
    uid = pydicom.dcmread(next(series.iterdir()), stop_before_pixels=True).SeriesInstanceUID
    masks = root / "masks"
    return real_ct.read_pair(series, masks / f"{uid}.nii.gz", str(masks / "classes.yaml"))


def _measure(folder: Path, affine: Array, declared: ClassMap) -> None:
    load_expected()
    vocabulary = Vocabulary.load()
    content = (folder / "image.nii.gz").read_bytes()
    spent: dict[str, float] = {}
    image = _timed(spent, "read the image", lambda: read_nifti(content).data)
    print(f"{' x '.join(map(str, image.shape))}, {image.size / 1e6:.1f} million voxels")
    path = folder / "mask.nii.gz"
    mask = MaskFile("f_1", path.name, path, "image", "")
    offered = {"v_1": [OfferedMask(mask, declared, sha256(path))]}
    volume = VolumeImage("v_1", image, affine)
    backend = Precomputed(offered, 0.05)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made: Any = _timed(spent, "read the mask", lambda: backend(volume))
    looked = _timed(spent, "measure classes", lambda: look(volume, made))
    seen = _timed(
        spent,
        "check",
        lambda: [
            *remarks_on(volume, made, looked.measures),
            *image_remarks(volume, made, vocabulary, looked),
        ],
    )
    _timed(spent, "hash, rows", lambda: mask_rows(volume, made, "t", "p", "b", "1", looked))
    _timed(spent, "write", lambda: label_map_bytes(made.labels, affine))
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    for step, seconds in spent.items():
        print(f"{step:<18}{seconds:6.2f} CPU-s")
    alone = sum(seconds for step, seconds in spent.items() if step != "read the image")
    print(f"{'the mask':<18}{alone:6.2f} CPU-s, {peak / made.labels.nbytes:.2f} times its bytes")
    print(f"{len(seen)} remarks")


def _timed(spent: dict[str, float], step: str, work: Callable[[], Any]) -> Any:
    begun = time.process_time()
    made = work()
    spent[step] = time.process_time() - begun
    return made


if __name__ == "__main__":
    main()
