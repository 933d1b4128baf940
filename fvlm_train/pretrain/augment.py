"""Augmentations by name: each a function of a view, its strength and a generator.

Views are (z, y, x) float32 in [0, 1], the training window of intensities; so are the results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Array = np.ndarray[Any, Any]


def flip_z(view_zyx: Array, strength: float, rng: np.random.Generator) -> Array:
    """Head and foot exchanged with probability `strength`."""
    return view_zyx[::-1] if rng.random() < strength else view_zyx


def flip_y(view_zyx: Array, strength: float, rng: np.random.Generator) -> Array:
    """Front and back exchanged with probability `strength`."""
    return view_zyx[:, ::-1] if rng.random() < strength else view_zyx


def flip_x(view_zyx: Array, strength: float, rng: np.random.Generator) -> Array:
    """Left and right exchanged with probability `strength`: no text names a side here."""
    return view_zyx[:, :, ::-1] if rng.random() < strength else view_zyx


def contrast(view_zyx: Array, strength: float, rng: np.random.Generator) -> Array:
    """Distances from the view's mean times 1 - strength to 1 + strength."""
    mean = view_zyx.mean(dtype=np.float64)
    scaled: Array = mean + (view_zyx - mean) * rng.uniform(1 - strength, 1 + strength)
    return scaled


def brightness(view_zyx: Array, strength: float, rng: np.random.Generator) -> Array:
    """A shift by -strength to strength of the window."""
    shifted: Array = view_zyx + rng.uniform(-strength, strength)
    return shifted


def gamma(view_zyx: Array, strength: float, rng: np.random.Generator) -> Array:
    """Power of 1 / (1 + strength) to 1 + strength, evenly in its logarithm."""
    widest = np.log1p(strength)
    curved: Array = np.clip(view_zyx, 0, 1) ** np.exp(rng.uniform(-widest, widest))
    return curved


def noise(view_zyx: Array, strength: float, rng: np.random.Generator) -> Array:
    """Normal noise of a deviation of 0 to `strength` of the window."""
    deviation = rng.uniform(0, strength)
    noisy: Array = view_zyx + rng.standard_normal(view_zyx.shape, np.float32) * deviation
    return noisy


def blur(view_zyx: Array, strength: float, rng: np.random.Generator) -> Array:
    """A Gaussian of 0 to `strength` voxels."""
    from scipy import ndimage

    blurred: Array = ndimage.gaussian_filter(view_zyx, rng.uniform(0, strength))
    return blurred


def cutout(view_zyx: Array, strength: float, rng: np.random.Generator) -> Array:
    """A box of up to `strength` of each axis at the view's mean, anywhere; a slice is whole."""
    part = []
    for size in view_zyx.shape:
        length = size if size == 1 else int(rng.uniform(0, strength) * size)
        start = int(rng.integers(0, size - length + 1))
        part.append(slice(start, start + length))
    cut = view_zyx.copy()
    cut[tuple(part)] = view_zyx.mean()
    return cut


OF_VOXELS: Mapping[str, Callable[[Array, float, np.random.Generator], Array]] = {
    "flip_z": flip_z,
    "flip_y": flip_y,
    "flip_x": flip_x,
    "contrast": contrast,
    "brightness": brightness,
    "gamma": gamma,
    "noise": noise,
    "blur": blur,
    "cutout": cutout,
}
"""All but zoom, which changes the box that is read (`views.Drawn`)."""


def augmented(view_zyx: Array, strengths: Mapping[str, float], rng: np.random.Generator) -> Array:
    """The view after each augmentation of `strengths`, in its order, clipped to [0, 1]."""
    for name, strength in strengths.items():
        if name in OF_VOXELS:
            view_zyx = OF_VOXELS[name](view_zyx, strength, rng)
    return np.ascontiguousarray(np.clip(view_zyx, 0, 1), np.float32)
