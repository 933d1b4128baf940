"""Training shards: preprocessing, writer and reader."""

from __future__ import annotations

from fvlm_data.shards.config import ShardConfig
from fvlm_data.shards.objects import ObjectCache
from fvlm_data.shards.reader import ShardDataset
from fvlm_data.shards.sample import Sample

__all__ = ["ObjectCache", "Sample", "ShardConfig", "ShardDataset"]
