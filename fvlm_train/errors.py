"""Errors of training that are no fault of what was given to it."""

from __future__ import annotations

from fvlm_data.errors import FvlmError


class DivergedError(FvlmError):
    """Loss, gradient or weights are no finite numbers; the checkpoint before is kept."""


class TrackingError(FvlmError):
    """A tool that follows the training (train.tracking) cannot be told of it."""
