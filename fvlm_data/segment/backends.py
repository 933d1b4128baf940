"""The list of segmentation backends, each in a file of its own."""

from __future__ import annotations

from fvlm_data.extensions import Extensions

BACKENDS = Extensions(
    "fvlm_data.segmentation_backends",
    "segmentation backend",
    {
        "precomputed": "fvlm_data.segment.precomputed:PRECOMPUTED",
        "threshold": "fvlm_data.segment.threshold:THRESHOLD",
        "totalsegmentator": "fvlm_data.segment.totalsegmentator:TOTALSEGMENTATOR",
    },
)
"""Each place holds a `BackendEntry` (see backend.py)."""
