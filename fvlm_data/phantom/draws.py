"""Random draws: one independent stream for each patient and purpose.

Only `random`, `standard_normal` and `integers` of a PCG64 generator are used, and streams are
named by numbers, so that patient 7 is the same in a run of 10 and in one of 1,000, with any number
of processes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

VERSION = 1
"""Version of the generator. It enters every stream and every UID."""


def stream(seed: int, patient: int, *purpose: int) -> np.random.Generator:
    """Return the generator of one patient (0-based) and purpose."""
    # numbers as entropy, not a generator that is passed along: a stream depends on nothing drawn
    # before
    entropy = np.random.SeedSequence([VERSION, seed, patient, *purpose])
    return np.random.Generator(np.random.PCG64(entropy))


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw from [low, high)."""
    return low + (high - low) * float(rng.random())


def gauss(rng: np.random.Generator, mean: float, spread: float) -> float:
    """Draw a normal number cut at 2.5 spreads, so that no patient is impossible."""
    deviate = float(rng.standard_normal())
    return mean + spread * min(2.5, max(-2.5, deviate))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with `probability`."""
    return float(rng.random()) < probability


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Draw one of `options` with equal chances."""
    return options[int(float(rng.random()) * len(options))]


def weighted(rng: np.random.Generator, options: Sequence[tuple[T, float]]) -> T:
    """Draw one of `options`, each a pair of value and weight."""
    left = float(rng.random()) * sum(weight for _, weight in options)
    for value, weight in options:
        left -= weight
        if left < 0:
            return value
    return options[-1][0]


def shuffled(rng: np.random.Generator, items: Sequence[T]) -> list[T]:
    """Return `items` in random order."""
    keys = [float(rng.random()) for _ in items]
    return [items[index] for index in sorted(range(len(items)), key=keys.__getitem__)]


def uid(*parts: str | int) -> str:
    """Return a DICOM UID under 2.25 (PS3.5 B.2) made from `parts` alone."""
    text = "\x1f".join(str(part) for part in (VERSION, *parts))
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"
