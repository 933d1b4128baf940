"""Regions whose organ a model is not told: each is shown to it as every organ in turn.

A model embeds an organ through weights of that organ's own (its query, its scale), so that an
embedding tells by itself which organ was asked for. Here the region's voxels stand in the place of
each anatomy, and the text of that anatomy must fit them.

Shapes: A anatomy, N tokens, E features, R regions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from fvlm_train.evaluate.embeddings import anatomy_windows, window_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from fvlm_train.config import EvaluateConfig, TrainConfig
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.evaluate.embeddings import SampleWindow
    from fvlm_train.model import FVLM


class Region(NamedTuple):
    """A region that is anatomy number `anatomy`, embedded (A, E) in the place of each."""

    patient_id: str
    anatomy: int
    features_ae: Tensor


def asked_regions(
    model: FVLM,
    source: SampleSource,
    train: TrainConfig,
    config: EvaluateConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Region]:
    """Every trained anatomy that a sample shows, in the order of samples.

    Raises:
        StoreError: a sample cannot be read.
    """
    patients = source.rows["patient_id"].to_pylist()
    window_zyx = config.window_zyx or train.crop
    found = []
    with torch.inference_mode():
        for number, patient in enumerate(patients):
            sample = source.read(number)
            every = range(len(model.anatomies))
            for window in anatomy_windows(sample, number, every, train, window_zyx):
                for anatomy in every:
                    if _shows(window, anatomy):
                        features_ae = as_each(model, window, anatomy)
                        found.append(Region(patient, anatomy, features_ae))
            progress(number + 1, len(patients))
    return found


def _shows(window: SampleWindow, anatomy: int) -> bool:
    if window.measured_af is not None:
        return not bool(np.isnan(window.measured_af[anatomy, 0]))
    return bool(window.tokens_an[anatomy].any())


def as_each(model: FVLM, window: SampleWindow, anatomy: int) -> Tensor:
    """(A, E): row a is the region as it is embedded in the place of anatomy a."""
    shown = list(_shown_as(window, anatomy))
    features_bae = model.encode_images(*window_inputs(model, shown)).cpu()
    if len(shown) == 1:
        return features_bae[0]
    at = torch.arange(len(shown))
    return features_bae[at, at]


def _shown_as(window: SampleWindow, anatomy: int) -> Iterator[SampleWindow]:
    """One window with the region in all places, or where organs are seen one for each place."""
    count = len(window.tokens_an)
    tokens_n = window.tokens_an[anatomy]
    measured_f = None if window.measured_af is None else window.measured_af[anatomy]
    measured_af = None if measured_f is None else np.tile(measured_f, (count, 1))
    if window.organs_zyx is None:
        yield replace(window, tokens_an=np.tile(tokens_n, (count, 1)), measured_af=measured_af)
        return
    # a voxel has one organ: the neighbours' would tell what lies between them
    region_zyx = window.organs_zyx == anatomy + 1
    for place in range(count):
        tokens_an = np.zeros_like(window.tokens_an)
        tokens_an[place] = tokens_n
        organs_zyx = np.where(region_zyx, place + 1, 0).astype(window.organs_zyx.dtype)
        yield replace(window, tokens_an=tokens_an, organs_zyx=organs_zyx, measured_af=measured_af)
