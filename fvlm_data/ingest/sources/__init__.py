"""The kinds of sources: one file each, one line of the table each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.ingest.sources.ct_rate import CT_RATE
from fvlm_data.ingest.sources.dicom import DICOM
from fvlm_data.ingest.sources.dicomweb import DICOMWEB
from fvlm_data.ingest.sources.nifti import NIFTI
from fvlm_data.ingest.sources.rad_chestct import RAD_CHESTCT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.ingest.config import SourceKind
    from fvlm_data.ingest.sources.kind import Kind

__all__ = ["KINDS"]

KINDS: Mapping[SourceKind, Kind] = {
    "dicom": DICOM,
    "dicomweb": DICOMWEB,
    "nifti": NIFTI,
    "ct_rate": CT_RATE,
    "rad_chestct": RAD_CHESTCT,
}
