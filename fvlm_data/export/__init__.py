"""Copies of a store in other forms, one file a form."""

from __future__ import annotations

from fvlm_data.extensions import Extensions

__all__ = ["EXPORTS"]

EXPORTS = Extensions(
    "fvlm_data.exports",
    "export",
    {
        "tables": "fvlm_data.export.entries:TABLES",
        "labels": "fvlm_data.export.entries:LABELS",
        "ct-rate": "fvlm_data.export.entries:CT_RATE",
        "merlin": "fvlm_data.export.entries:MERLIN",
        "region-texts": "fvlm_data.export.entries:REGION_TEXTS",
        "organ-pairs": "fvlm_data.export.entries:ORGAN_PAIRS",
        "attributes": "fvlm_data.export.entries:ATTRIBUTES",
        "questions": "fvlm_data.export.entries:QUESTIONS",
        "report-generation": "fvlm_data.export.entries:REPORT_GENERATION",
        "cases": "fvlm_data.export.entries:CASES",
        "change": "fvlm_data.export.entries:CHANGE",
        "outcome": "fvlm_data.export.entries:OUTCOME",
        "slice-references": "fvlm_data.export.entries:SLICE_REFERENCES",
        "dicom": "fvlm_data.export.entries:DICOM",
        "webdataset": "fvlm_data.export.entries:WEBDATASET",
        "nnunet": "fvlm_data.export.entries:NNUNET",
        "monai": "fvlm_data.export.entries:MONAI",
        "huggingface": "fvlm_data.export.entries:HUGGINGFACE",
    },
)
"""Each place holds an `Export` (see entry.py)."""
