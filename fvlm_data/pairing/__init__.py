"""Pairing: which report speaks of which study, texts and states of anatomies, splits, targets."""

from __future__ import annotations

from fvlm_data.pairing.targets import targets

__all__ = ["targets"]
