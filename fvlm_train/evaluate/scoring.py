"""Zero-shot scores: how much closer an anatomy lies to a finding's prompt than to its opposite.

Source: the evaluation of the public fVLM code: a window centred on each anatomy, two prompts,
softmax over the two similarities divided by the temperature, 0 for an absent anatomy.

Shapes: B batch, A anatomy, N tokens, E features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from fvlm_train.data.texts import normal_sentence
from fvlm_train.data.windows import centred_box, end_padded, intensity, padded, pooled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.shards import Sample
    from fvlm_train.config import EvaluateConfig, TrainConfig
    from fvlm_train.data.windows import Array, Box, SampleSource, SizeZYX
    from fvlm_train.model import FVLM


class Prompts(Protocol):
    """The two sentences of a finding."""

    @property
    def positive(self) -> str:
        """Such as `Gallstone.`."""

    @property
    def negative(self) -> str:
        """Such as `Not gallstone.`."""


class Finding(Protocol):
    """What is read of a finding of the vocabulary."""

    @property
    def id(self) -> str:
        """Snake-case id."""

    @property
    def anatomy(self) -> str:
        """Anatomy whose region is scored."""

    @property
    def prompts(self) -> Prompts:
        """Its prompts."""


@dataclass(frozen=True, slots=True)
class Score:
    """One finding of one sample; `stated` is what its report says, None where it cannot.

    The report label is true where the report has the finding, false where it shows the anatomy
    without it (a report that passes over an anatomy counts as without).
    """

    sample_id: str
    patient_id: str
    study_id: str
    finding: str
    anatomy: str
    anatomy_present: bool
    score: float
    stated: bool | None


@dataclass(frozen=True, slots=True)
class _Window:
    """A window in [0, 1], and the tokens (A, N) of the anatomies that it is centred on."""

    sample: int
    image_zyx: Array
    tokens_an: Array


def score_samples(
    model: FVLM,
    source: SampleSource,
    findings: Sequence[Finding],
    train: TrainConfig,
    config: EvaluateConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Score]:
    """Scores of every sample and every finding of a trained anatomy, in the order of both.

    A sample is padded to the training crop as in training, then a window is cut around each
    anatomy; the anatomy that is scored is never dropped at a border. `progress` gets the
    samples done and their total.
    """
    wanted = [finding for finding in findings if finding.anatomy in model.anatomies]
    scored = [model.anatomies.index(anatomy) for anatomy in {f.anatomy for f in wanted}]
    features_ae: list[Tensor] = []
    with torch.inference_mode():
        positive_fe, negative_fe = _prompt_features(model, wanted, train, config)
        for features in _sample_features(model, source, sorted(scored), train, config):
            features_ae.append(features)
            progress(len(features_ae), len(source))
        at_f = torch.tensor([model.anatomies.index(finding.anatomy) for finding in wanted])
        image_bfe = torch.stack(features_ae)[:, at_f] if features_ae else torch.empty(0)
        scores_bf = _probability(image_bfe, positive_fe, negative_fe, model.temperature.cpu())
    rows = source.rows.select(["sample_id", "patient_id", "study_id"]).to_pylist()
    stated = [_labels(row) for row in source.rows.select(["anatomies", "labels"]).to_pylist()]
    return [
        Score(
            sample_id=row["sample_id"],
            patient_id=row["patient_id"],
            study_id=row["study_id"],
            finding=finding.id,
            anatomy=finding.anatomy,
            anatomy_present=bool(image_bfe[sample, number].any()),
            score=float(scores_bf[sample, number]),
            stated=_stated(stated[sample], finding),
        )
        for sample, row in enumerate(rows)
        for number, finding in enumerate(wanted)
    ]


def anatomy_windows(
    sample: Sample, number: int, anatomies: Sequence[int], train: TrainConfig, window_zyx: SizeZYX
) -> Iterator[_Window]:
    """Windows of a sample for the anatomies (their numbers) that it shows.

    Anatomies whose windows coincide share one; each keeps its own tokens.
    """
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
        stored = end_padded(image_zyx[part], patch_zyx, mapping.air).astype(np.float32)
        yield _Window(
            sample=number,
            image_zyx=np.clip(stored * mapping.scale + mapping.offset, 0, 1, dtype=np.float32),
            tokens_an=tokens_an,
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
        by_shape: dict[tuple[int, ...], list[_Window]] = {}
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


def _encoded(model: FVLM, windows: Sequence[_Window]) -> Tensor:
    """(B, A, E) on CPU; zeros for anatomies that a window is not centred on."""
    device = model.temperature.device
    image_bzyx = torch.from_numpy(np.stack([window.image_zyx for window in windows]))
    tokens_ban = torch.from_numpy(np.stack([window.tokens_an for window in windows]))
    return model.encode_images(image_bzyx.to(device), tokens_ban.to(device)).cpu()


def _prompt_features(
    model: FVLM, findings: Sequence[Finding], train: TrainConfig, config: EvaluateConfig
) -> tuple[Tensor, Tensor]:
    """Positive and negative prompt features (F, E), on CPU."""
    negatives = [
        finding.prompts.negative
        if config.negative == "prompt"
        else normal_sentence(finding.anatomy, train.template)
        for finding in findings
    ]
    positives = [finding.prompts.positive for finding in findings]
    features_te = model.encode_texts([*positives, *negatives]).cpu()
    return features_te[: len(findings)], features_te[len(findings) :]


def _probability(
    image_bfe: Tensor, positive_fe: Tensor, negative_fe: Tensor, temperature: Tensor
) -> Tensor:
    """(B, F): softmax over two similarities, its positive part; 0 for an absent anatomy."""
    difference_bf = (image_bfe * (positive_fe - negative_fe)).sum(-1) / temperature
    # the sigmoid of the difference is the softmax over two
    return torch.sigmoid(difference_bf) * image_bfe.any(dim=-1)


def _labels(row: dict[str, Sequence[object]]) -> dict[object, frozenset[object]]:
    pairs = zip(row["anatomies"], row["labels"], strict=True)
    return {anatomy: frozenset(labels) for anatomy, labels in pairs}  # type: ignore[call-overload]


def _stated(labels: dict[object, frozenset[object]], finding: Finding) -> bool | None:
    found = labels.get(finding.anatomy)
    return None if found is None else finding.id in found
