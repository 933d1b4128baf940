"""Segmentation: label maps of classes by several backends, and their merging into anatomies."""

from __future__ import annotations

from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.merge import merge_labels

__all__ = ["SegmentConfig", "merge_labels"]
