"""Training shards: preprocessing, writer and reader."""

from __future__ import annotations

from fvlm_data.shards.config import ShardConfig
from fvlm_data.shards.objects import ObjectCache
from fvlm_data.shards.reader import Sample, ShardDataset

__all__ = ["ObjectCache", "Sample", "ShardConfig", "ShardDataset"]
