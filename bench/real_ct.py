"""Volumes of any size for the benchmarks, from one real series and its label map.

A short series is continued along z by its own mirror image: neighbouring slices stay neighbours,
noise and texture stay those of the scanner.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fvlm_data.segment.merge import merge_labels
from fvlm_data.segment.nifti import read_nifti

Array = np.ndarray[Any, Any]
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def load(series: Path, mask: Path, classes: str, anatomies: tuple[str, ...]) -> tuple[Array, ...]:
    """HU (i, j, k), label (i, j, k) of `anatomies` and affine (RAS+) of a DICOM series.

    The label map may have its axes turned otherwise; both are brought to LPS order.
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
    merged = merge_labels([(labels, found.embedded_classes, classes)], anatomies)
    return (
        SimpleITK.GetArrayFromImage(volume).T.astype(np.int16),
        merged,
        LPS_TO_RAS @ affine,
    )


def continued(array_ijk: Array, depth: int) -> Array:
    """The array mirrored along its last axis until it has `depth` slices, in Fortran order."""
    period = 2 * array_ijk.shape[2]
    at = np.arange(depth) % period
    at = np.where(at < array_ijk.shape[2], at, period - 1 - at)
    return np.asfortranarray(array_ijk[:, :, at])
