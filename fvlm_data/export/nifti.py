"""Samples as pairs of NIfTI files: image in HU and label map on one grid."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.export.source import hounsfield_zyx

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.export.source import Source
    from fvlm_data.export.target import Draft

ENDING = ".nii.gz"
GZIP_LEVEL = 2
SCANNER_ANATOMICAL = 1


def nifti_bytes(
    array_zyx: np.ndarray[Any, Any], affine_ras: np.ndarray[Any, np.dtype[np.float64]]
) -> bytes:
    """A gzipped NIfTI-1 file, the same bytes for the same content.

    The file's voxel axes are (x, y, z) of `array_zyx`; `affine_ras` (4 x 4, voxel (x, y, z, 1)
    to RAS+ mm) is both sform and qform, with code 1. Values are stored unscaled: slope 1.
    """
    import nibabel as nib
    from isal import igzip

    image = nib.Nifti1Image(array_zyx.transpose(2, 1, 0), affine_ras)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine_ras, SCANNER_ANATOMICAL)
    image.set_qform(affine_ras, SCANNER_ANATOMICAL)
    buffer = io.BytesIO()
    image.to_file_map({"image": nib.FileHolder(fileobj=buffer)})
    # the time would make equal content differ
    return bytes(igzip.compress(buffer.getbuffer(), GZIP_LEVEL, mtime=0))


def write_cases(
    source: Source,
    draft: Draft,
    paths: Callable[[str, str], tuple[str, str]],
    progress: Callable[[int, int], None],
) -> None:
    """Write image (int16 HU) and label map (uint8) of each sample.

    `paths` gives both files' places by split and sample id.
    """
    done = 0
    for split, dataset in source.splits.items():
        for number, sample_id in enumerate(dataset.rows["sample_id"].to_pylist()):
            places = paths(split, sample_id)
            if not all(map(draft.done, places)):
                sample = dataset[number]
                arrays = (hounsfield_zyx(sample), sample.label_zyx)
                for path, array_zyx in zip(places, arrays, strict=True):
                    if not draft.done(path):
                        draft.write(path, nifti_bytes(array_zyx, sample.affine_ras))
            done += 1
            progress(done, source.samples)
