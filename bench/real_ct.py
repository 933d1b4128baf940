"""Volumes of any size for the benchmarks, from one real series and its label map.

A short series is continued along z by its own mirror image, shifted: noise and texture stay those
of the scanner. Where no series is named, a synthetic one shows that a benchmark runs; its figures
say nothing of scanners.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from fvlm_data.phantom import generate
from fvlm_data.segment.class_map import declared_classes
from fvlm_data.segment.merge import merge_labels
from fvlm_data.segment.nifti import read_nifti
from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options that name the real series; `description` is the benchmark's docstring."""
    made = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    made.add_argument("--series", type=Path, help="folder of a DICOM CT series; default: synthetic")
    made.add_argument("--mask", type=Path, help="its label map")
    made.add_argument(
        "--classes",
        default="totalsegmentator_v2",
        help="TotalSegmentator's version, or a YAML file",
    )
    return made


def load(arguments: argparse.Namespace, anatomies: tuple[str, ...]) -> tuple[Array, ...]:
    """HU (i, j, k), label (i, j, k) of `anatomies` and affine (RAS+) of the named series."""
    if arguments.series is not None:
        if arguments.mask is None:
            raise SystemExit("--series needs its label map: --mask")
        return _read(arguments.series, arguments.mask, arguments.classes, anatomies)
    print("a synthetic series, since --series names none", file=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "phantom"
        generate(root, patients=1, seed=7)
        series = max(root.glob("dicom/*/*/SE*"), key=lambda folder: len(list(folder.iterdir())))
        uid = pydicom.dcmread(next(series.iterdir()), stop_before_pixels=True).SeriesInstanceUID
        masks = root / "masks"
        return _read(series, masks / f"{uid}.nii.gz", str(masks / "classes.yaml"), anatomies)


def _read(series: Path, mask: Path, classes: str, anatomies: tuple[str, ...]) -> tuple[Array, ...]:
    """As `load`."""
    image, labels, affine, names, system = read_pair(series, mask, classes)
    merged = merge_labels([(labels, names, system)], anatomies, Vocabulary.load())
    return image, merged, affine


def read_pair(
    series: Path, mask: Path, classes: str
) -> tuple[Array, Array, Array, Mapping[int, str], str]:
    """HU and label map (i, j, k), affine (RAS+), names of the values and their class system.

    The label map may have its axes turned otherwise: both come in LPS order.
    """
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
    volume = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(volume.GetDirection()).reshape(3, 3) * volume.GetSpacing()
    affine[:3, 3] = volume.GetOrigin()
    found = read_nifti(mask.read_bytes())
    labels = np.asarray(found.data)
    turned = np.diag(found.affine_ras[:3, :3]) * np.diag(LPS_TO_RAS @ affine)[:3] < 0
    labels = np.flip(labels, tuple(np.flatnonzero(turned)))
    declared = declared_classes(classes, Path(), Vocabulary.load())
    names = found.embedded_classes or declared.classes
    image = SimpleITK.GetArrayFromImage(volume).T.astype(np.int16)
    return image, labels, LPS_TO_RAS @ affine, names, declared.class_system


def continued(array_ijk: Array, depth: int) -> Array:
    """The array and its mirror image in turn along the last axis, up to `depth` slices.

    Each repetition is shifted in its plane by some pixels, the same for image and label: else
    the columns of voxels would repeat, and gzip would find out. In Fortran order.
    """
    slices = array_ijk.shape[2]
    shifts = np.random.default_rng(0).integers(-24, 25, (-(-depth // slices), 2))
    blocks = [
        np.roll(array_ijk if number % 2 == 0 else array_ijk[:, :, ::-1], shift, (0, 1))
        for number, shift in enumerate(shifts.tolist())
    ]
    return np.asfortranarray(np.concatenate(blocks, axis=2)[:, :, :depth])
