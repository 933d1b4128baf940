"""Embeddings and labels drawn so that a linear map reads the finding off them."""

from __future__ import annotations

import numpy as np

from fvlm_train.evaluate.labelled import Labelled
from fvlm_train.evaluate.scoring import Score


def separable(
    patients: int, seed: int, *, prevalence: float = 0.3, finding: str = "f", name: str = "p"
) -> Labelled:
    """Two samples a patient; the first of eight features tells the finding, with noise."""
    rng = np.random.default_rng(seed)
    patient_n = np.repeat(np.arange(patients), 2)
    positive_n = (rng.random(patients) < prevalence)[patient_n]
    features_ne = rng.normal(size=(len(patient_n), 8)).astype(np.float32)
    features_ne[:, 0] += 3 * positive_n
    names = np.array([f"{name}{n}" for n in patient_n], object)
    rows = tuple(
        Score(f"{name}sa{n}", names[n], f"{name}st{n}", finding, "liver", True, 0.0, None)
        for n in range(len(names))
    )
    return Labelled(features_ne, positive_n, names, rows)
