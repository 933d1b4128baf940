"""Training and evaluation of fine-grained vision-language models on CT shards."""

from __future__ import annotations
