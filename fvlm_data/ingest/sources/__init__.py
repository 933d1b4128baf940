"""The kinds of sources: one file each, one line of the list each."""

from __future__ import annotations

from fvlm_data.extensions import Extensions

__all__ = ["SOURCES"]

SOURCES = Extensions(
    "fvlm_data.sources",
    "source kind",
    {
        "dicom": "fvlm_data.ingest.sources.dicom:DICOM",
        "dicomweb": "fvlm_data.ingest.sources.dicomweb:DICOMWEB",
        "nifti": "fvlm_data.ingest.sources.nifti:NIFTI",
        "ct_rate": "fvlm_data.ingest.sources.ct_rate:CT_RATE",
        "rad_chestct": "fvlm_data.ingest.sources.rad_chestct:RAD_CHESTCT",
        "bucket": "fvlm_data.ingest.sources.bucket:BUCKET",
        "images": "fvlm_data.ingest.sources.images:IMAGES",
    },
)
"""Each place holds a `Kind` (see kind.py)."""
