"""The fVLM model."""

from __future__ import annotations

from fvlm_train.model.fvlm import FVLM, Features
from fvlm_train.model.text import TextEncoder, WordPieces
from fvlm_train.model.vit import ImageEncoder

__all__ = ["FVLM", "Features", "ImageEncoder", "TextEncoder", "WordPieces"]
