"""A slice in grey with the outlines of what is segmented in it."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def outlined(slice_hu: Array, labels: Array, colours: Array, window_hu: tuple[int, int]) -> Array:
    """Uint8 (rows, columns, 3) of HU within a window, the borders of labels in their colours.

    `slice_hu` and `labels` are (rows, columns), label 0 has no outline; `colours` (uint8) holds
    red, green and blue of each label.
    """
    low, high = window_hu
    grey = np.clip((slice_hu.astype(np.float32) - low) / (high - low), 0, 1)
    picture = np.repeat((grey * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    edge = np.zeros(labels.shape, bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    outline = edge & (labels > 0)
    picture[outline] = colours[labels[outline]]
    return picture
