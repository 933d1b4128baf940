"""What the image shows against what its header says: body region and contrast medium."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.segment.plausibility.remark import Remark

if TYPE_CHECKING:
    from fvlm_data.segment.phase import Phase

REGIONS = {
    "head": ("HEAD", "BRAIN", "SKULL", "FACE", "ORBIT", "SINUS", "MAXILLA", "MANDIBLE"),
    "chest": ("CHEST", "THORAX", "LUNG", "HEART", "CORONARY"),
    "abdomen": ("ABDOMEN", "ABD", "LIVER", "KIDNEY", "PANCREAS", "SPLEEN"),
    "pelvis": ("PELVIS", "HIP", "BLADDER"),
}
"""Parts of BodyPartExamined's terms (DICOM PS3.16, annex L), by the region that they name."""

NOT_GIVEN = "no"
"""What `contrast_header` says of a scan without contrast medium."""

SURE = 0.75
"""Less sure, and the header is not contradicted."""

LATER = {"portal_venous", "delayed"}
"""Headers call one what the image shows as the other (a nephrographic phase): no disagreement."""


def header_remarks(
    shown_region: str,
    phase: Phase,
    contrast: str,
    region_header: str | None,
    contrast_header: str | None,
) -> list[Remark]:
    """Flags `region_header_differs` and `contrast_header_differs`, with both statements.

    A region differs if none that the header names is shown; a scan that shows more, or a term that
    names no region, is no disagreement.
    """
    remarks = []
    named = {region for region, terms in REGIONS.items() if _names(region_header, terms)}
    shown = set(shown_region.split("+")) - {"unknown"}
    if named and shown and named.isdisjoint(shown):
        seen = f"the header says {region_header}, the image shows {shown_region}"
        remarks.append(Remark("header_differs", "region_header_differs", seen))
    if _contradicted(contrast_header, phase, contrast):
        seen = f"the header says {contrast_header}, the image shows {contrast}, phase {phase.name}"
        remarks.append(Remark("header_differs", "contrast_header_differs", seen))
    return remarks


def _names(header: str | None, terms: tuple[str, ...]) -> bool:
    return header is not None and any(term in header for term in terms)


def _contradicted(header: str | None, phase: Phase, contrast: str) -> bool:
    if header is None:
        return False
    if header == NOT_GIVEN:
        return contrast == "enhanced"
    if phase.confidence < SURE:
        return False
    if phase.name == "unenhanced":
        return True
    early = "arterial"
    return (header == early and phase.name in LATER) or (header in LATER and phase.name == early)
