"""Evaluation of trained models."""

from __future__ import annotations

from fvlm_train.evaluate.metrics import FindingScore, MacroScore, score_findings
from fvlm_train.evaluate.scoring import Score, score_samples

__all__ = [
    "FindingScore",
    "MacroScore",
    "Score",
    "score_findings",
    "score_samples",
]
