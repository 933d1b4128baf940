"""A volume as a series of CT images, under derived UIDs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.export.dicom.derived_ids import derived_uid
from fvlm_data.export.dicom.grid import grid_of, place
from fvlm_data.export.dicom.header import MAKER, content_time, finish, study_header
from fvlm_data.hashing import content_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pydicom

    from fvlm_data.export.dicom.curated import Study, Volume

WINDOW_HU = (40, 400)
"""Centre and width that a viewer opens with: soft tissue."""


def slice_headers(study: Study, volume: Volume) -> list[pydicom.Dataset]:
    """Headers of a volume's slices in the order of k: all but what their pixels are."""
    grid = grid_of(volume)
    content = content_key(volume, study.date)
    headers = []
    for number in range(volume.shape[2]):
        header = study_header(study, volume.volume_id)
        header.SOPInstanceUID = derived_uid("image", volume.volume_id, content, str(number))
        header.InstanceNumber = number + 1
        place(header, volume, grid, number)
        headers.append(header)
    return headers


def ct_images(
    study: Study, volume: Volume, hu: np.ndarray[Any, Any], series_number: int
) -> Iterator[pydicom.Dataset]:
    """The CT images of a volume, whose `hu` are int16 (i, j, k), slice by slice.

    They are derived images, since nothing of the source but HU and geometry is in them.
    """
    import pydicom

    for header, pixels in zip(slice_headers(study, volume), hu.transpose(2, 1, 0), strict=True):
        header.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        header.ContentDate, header.ContentTime = content_time(study).values()
        header.SeriesNumber = series_number
        header.SeriesDescription = volume.volume_id
        header.Manufacturer = MAKER
        for empty in ("AcquisitionNumber", "KVP", "PatientPosition", "PositionReferenceIndicator"):
            setattr(header, empty, None)
        header.SamplesPerPixel = 1
        header.PhotometricInterpretation = "MONOCHROME2"
        header.BitsAllocated = header.BitsStored = 16
        header.HighBit = 15
        header.PixelRepresentation = 1
        header.RescaleIntercept, header.RescaleSlope, header.RescaleType = 0, 1, "HU"
        header.WindowCenter, header.WindowWidth = WINDOW_HU
        header.PixelData = np.ascontiguousarray(pixels, "<i2").tobytes()
        header.file_meta = pydicom.dataset.FileMetaDataset()
        header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        finish(header)
        yield header
