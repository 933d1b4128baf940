"""The fVLM model."""

from __future__ import annotations

from fvlm_train.model.fvlm import FVLM, Features
from fvlm_train.model.text import TextEncoder
from fvlm_train.model.vit import ImageEncoder
from fvlm_train.model.wordpieces import WordPieces

__all__ = ["FVLM", "Features", "ImageEncoder", "TextEncoder", "WordPieces"]
