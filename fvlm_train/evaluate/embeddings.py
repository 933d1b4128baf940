"""Embeddings of samples: a unit vector for each anatomy that a scan shows.

The one way from samples to features, for every verb of `fvlm-eval`; nothing is kept between calls.
Source: the evaluation of the public fVLM code: a window centred on each anatomy.

Shapes: B samples (or windows of one forward pass), A anatomy, N tokens, E features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fvlm_train.data.crops import organ_numbers
from fvlm_train.data.whole import measured
from fvlm_train.data.windows import centred_box, end_padded, intensity, padded, pooled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.shards import Sample
    from fvlm_train.config import EvaluateConfig, TrainConfig
    from fvlm_train.data.windows import Array, Box, SampleSource, SizeZYX
    from fvlm_train.model import FVLM


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Features (B, A, E) of samples; zeros where a sample does not show the anatomy.

    `anatomies` are the model's, in its order; those that were not asked for are zeros too.
    """

    sample_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    study_ids: tuple[str, ...]
    anatomies: tuple[str, ...]
    features_bae: Tensor

    @property
    def present_ba(self) -> Tensor:
        """Which anatomies were embedded (bool)."""
        return self.features_bae.any(dim=2)

    def of(self, anatomy: str) -> tuple[Array, Array]:
        """Features (B, E) of an anatomy, and which samples show it (B,; bool)."""
        features_be = self.features_bae[:, self.anatomies.index(anatomy)]
        return features_be.numpy(), features_be.any(dim=1).numpy()


@dataclass(frozen=True, slots=True)
class SampleWindow:
    """A window in [0, 1], its labels, and the tokens (A, N) of the anatomies it is centred on.

    `measured_af` are features of those anatomies in the whole sample, NaN for all others.
    """

    sample: int
    image_zyx: Array
    tokens_an: Array
    label_zyx: Array
    organs_zyx: Array | None = None
    measured_af: Array | None = None


def embed_samples(
    model: FVLM,
    source: SampleSource,
    train: TrainConfig,
    config: EvaluateConfig,
    anatomies: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Embeddings:
    """Embeddings of every sample, in order; of `anatomies` alone where they are given.

    A sample is padded to the training crop as in training, then a window is cut around each
    anatomy, which is never dropped at a border. `progress` gets the samples done and their total.

    Raises:
        StoreError: a sample cannot be read.
    """
    wanted = model.anatomies if anatomies is None else anatomies
    numbers = sorted({model.anatomies.index(anatomy) for anatomy in wanted})
    rows = source.rows.select(["sample_id", "patient_id", "study_id"]).to_pydict()
    features_ae: list[Tensor] = []
    with torch.inference_mode():
        for features in _sample_features(model, source, numbers, train, config):
            features_ae.append(features)
            progress(len(features_ae), len(source))
    none_bae = torch.zeros(0, len(model.anatomies), model.config.projection_dim)
    return Embeddings(
        sample_ids=tuple(rows["sample_id"]),
        patient_ids=tuple(rows["patient_id"]),
        study_ids=tuple(rows["study_id"]),
        anatomies=model.anatomies,
        features_bae=torch.stack(features_ae) if features_ae else none_bae,
    )


def anatomy_windows(
    sample: Sample, number: int, anatomies: Sequence[int], train: TrainConfig, window_zyx: SizeZYX
) -> Iterator[SampleWindow]:
    """Windows of a sample for the anatomies (their numbers) that it shows.

    Anatomies whose windows coincide share one; each keeps its own tokens. A model that looks at no
    window gets one without a voxel.
    """
    whole_af = measured(sample, train) if train.model.organ.whole else None
    if whole_af is not None and train.model.organ.windowless:
        yield _windowless(number, _only(whole_af, anatomies))
        return
    mapping = intensity(sample.hu_window, train.window_hu)
    image_zyx = padded(sample.image_zyx, train.crop, mapping.air)
    label_zyx = padded(sample.label_zyx, train.crop, 0)
    shared: dict[Box, list[int]] = {}
    for anatomy in anatomies:
        value = sample.label_values.get(train.anatomies[anatomy])
        if value is not None and (mask_zyx := label_zyx == value).any():
            shared.setdefault(centred_box(mask_zyx, window_zyx), []).append(anatomy)
    patch_zyx = train.model.image.patch_zyx
    for (z0, y0, x0, z1, y1, x1), members in shared.items():
        part = (slice(z0, z1), slice(y0, y1), slice(x0, x1))
        shown_zyx = end_padded(label_zyx[part], patch_zyx, 0)
        tokens_an = np.zeros((len(train.anatomies), shown_zyx.size // math.prod(patch_zyx)), bool)
        for anatomy in members:
            mask_zyx = shown_zyx == sample.label_values[train.anatomies[anatomy]]
            tokens_an[anatomy] = pooled(mask_zyx, patch_zyx).reshape(-1)
        organs_zyx = None
        if train.model.organ.seen:
            organs_zyx = organ_numbers(sample, shown_zyx, train)
        stored = end_padded(image_zyx[part], patch_zyx, mapping.air).astype(np.float32)
        yield SampleWindow(
            sample=number,
            image_zyx=np.clip(stored * mapping.scale + mapping.offset, 0, 1, dtype=np.float32),
            tokens_an=tokens_an,
            label_zyx=shown_zyx,
            organs_zyx=organs_zyx,
            measured_af=None if whole_af is None else _only(whole_af, members),
        )


def _only(measured_af: Array, anatomies: Sequence[int]) -> Array:
    """Measures of these anatomies, NaN for all others."""
    shown_af = np.full_like(measured_af, np.nan)
    shown_af[list(anatomies)] = measured_af[list(anatomies)]
    return shown_af


def _windowless(number: int, measured_af: Array) -> SampleWindow:
    return SampleWindow(
        sample=number,
        image_zyx=np.zeros((0, 0, 0), np.float32),
        tokens_an=np.zeros((len(measured_af), 0), bool),
        label_zyx=np.zeros((0, 0, 0), np.uint8),
        measured_af=measured_af,
    )


def _sample_features(
    model: FVLM,
    source: SampleSource,
    anatomies: Sequence[int],
    train: TrainConfig,
    config: EvaluateConfig,
) -> Iterator[Tensor]:
    """Features (A, E) of each sample in turn, on CPU; zeros where an anatomy is absent."""
    window_zyx = config.window_zyx or train.crop
    empty = torch.zeros(len(model.anatomies), model.config.projection_dim)
    step = config.batch_size
    for start in range(0, len(source), step):
        members = range(start, min(start + step, len(source)))
        features = {number: empty.clone() for number in members}
        by_shape: dict[tuple[int, ...], list[SampleWindow]] = {}
        for number in members:
            sample = source.read(number)
            for window in anatomy_windows(sample, number, anatomies, train, window_zyx):
                # an organ larger than the window has one of its own size: only equal shapes make a
                # batch
                by_shape.setdefault(window.image_zyx.shape, []).append(window)
        for windows in by_shape.values():
            for first in range(0, len(windows), step):
                part = windows[first : first + step]
                for window, found_ae in zip(part, _encoded(model, part), strict=True):
                    # a sum, since each anatomy of a sample is in exactly one window and zero in the
                    # others
                    features[window.sample] += found_ae
        yield from features.values()


def window_inputs(
    model: FVLM, windows: Sequence[SampleWindow]
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Windows of one shape as the model takes them: images, token masks, organs, measures."""
    device = model.temperature.device
    image_bzyx = torch.from_numpy(np.stack([window.image_zyx for window in windows]))
    tokens_ban = torch.from_numpy(np.stack([window.tokens_an for window in windows]))
    organs = [window.organs_zyx for window in windows if window.organs_zyx is not None]
    organs_bzyx = torch.from_numpy(np.stack(organs)).to(device) if organs else None
    measures = [window.measured_af for window in windows if window.measured_af is not None]
    measured_baf = torch.from_numpy(np.stack(measures)).to(device) if measures else None
    return image_bzyx.to(device), tokens_ban.to(device), organs_bzyx, measured_baf


def _encoded(model: FVLM, windows: Sequence[SampleWindow]) -> Tensor:
    """(B, A, E) on CPU; zeros for anatomies that a window is not centred on."""
    return model.encode_images(*window_inputs(model, windows)).cpu()
