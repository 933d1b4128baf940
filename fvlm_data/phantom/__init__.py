"""Synthetic patients as a yardstick: DICOM series, masks, reports and the truth about them."""

from __future__ import annotations

from fvlm_data.phantom.draws import VERSION
from fvlm_data.phantom.generate import PhantomSummary, check_new, generate, studies_of

__all__ = ["VERSION", "PhantomSummary", "check_new", "generate", "studies_of"]
