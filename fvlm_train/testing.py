"""Samples in memory, for tests: organs as blobs, findings as density, texts that name them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fvlm_data.shards import Sample
from fvlm_data.shards.sample import cropped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_train.data.windows import Array, Box

SHAPE_ZYX = (24, 48, 48)


@dataclass(frozen=True, slots=True)
class ToyPrompts:
    """The two prompts of a toy finding."""

    positive: str
    negative: str


@dataclass(frozen=True, slots=True)
class ToyFinding:
    """A finding that a toy organ may have, its density, and its name in reports."""

    id: str
    anatomy: str
    lesion_hu: int
    name: str
    ct_rate: str | None = None
    implies: tuple[str, ...] = ()

    @property
    def prompts(self) -> ToyPrompts:
        """As the vocabulary has them."""
        return ToyPrompts(f"{self.name.capitalize()}.", f"Not {self.name}.")


CENTRES_ZYX = {"liver": (12, 18, 12), "kidney": (8, 32, 30), "lung": (17, 14, 34)}
ORGAN_HU = {"liver": 55, "kidney": 35, "lung": -800}
PHRASES = ("There is a {}.", "A {} is seen.", "{} of a few millimetres.", "Finding: {}.")

TOY_FINDINGS = (
    ToyFinding("liver_cyst", "liver", -60, "hepatic cyst"),
    ToyFinding("liver_calcification", "liver", 320, "liver calcification"),
    ToyFinding("kidney_stone", "kidney", 340, "renal stone"),
    ToyFinding("kidney_cyst", "kidney", -60, "kidney cyst"),
    ToyFinding("lung_nodule", "lung", 60, "lung nodule"),
)


class MemorySource:
    """Samples behind the interface of `fvlm_data.shards.ShardDataset`."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        """`samples` in the order of their numbers."""
        self.samples = tuple(samples)
        self.restricted = 0
        columns = ["sample_id", "patient_id", "study_id", "anatomies", "states", "texts", "labels"]
        columns.append("boxes")
        self.rows = pa.table(
            {name: [_plain(getattr(one, name)) for one in samples] for name in columns}
            | {"shape_zyx": [list(one.image_zyx.shape) for one in samples]}
            | {"content_sha256": [_content(one) for one in samples]}
        )

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        """A whole sample."""
        return self.samples[index]

    def image_dtype(self, index: int) -> np.dtype[Any]:
        """Type of a sample's image."""
        return np.dtype(self.samples[index].image_zyx.dtype)

    def read(
        self, index: int, box: Box | None = None, out: tuple[Array, Array] | None = None
    ) -> Sample:
        """A sample or its crop; `out` takes its image and label."""
        sample = self.samples[index]
        if box is not None:
            sample = cropped(sample, box)
        if out is not None:
            out[0][:], out[1][:] = sample.image_zyx, sample.label_zyx
            sample = replace(sample, image_zyx=out[0], label_zyx=out[1])
        return sample


def toy_source(patients: int, seed: int, *, prevalence: float = 0.25) -> MemorySource:
    """`patients` toy samples; each finding has the given prevalence, one an organ at most."""
    return MemorySource(
        [toy_sample(number, seed, prevalence=prevalence) for number in range(patients)]
    )


def toy_sample(number: int, seed: int, *, prevalence: float = 0.25) -> Sample:
    """One toy sample: int16 HU (24, 48, 48) at 5 mm, three organs, normal ones named or not."""
    rng = np.random.default_rng([seed, number])
    image = rng.normal(-80, 25, SHAPE_ZYX)
    label = np.zeros(SHAPE_ZYX, np.uint8)
    facts = []
    for value, (anatomy, centre) in enumerate(CENTRES_ZYX.items(), start=1):
        shift = rng.integers(-1, 2, 3)
        organ = _ball(np.add(centre, shift), (5.5, 8.0, 8.0))
        image[organ] = ORGAN_HU[anatomy] + rng.normal(0, 25, int(organ.sum()))
        label[organ] = value
        chosen = _drawn(anatomy, rng, prevalence)
        if chosen:
            lesion = _ball(np.add(centre, shift) + rng.integers(-2, 3, 3), (2.5, 4.0, 4.0)) & organ
            image[lesion] = chosen.lesion_hu + rng.normal(0, 25, int(lesion.sum()))
        facts.append(_said(anatomy, chosen, rng))
    states, signatures, findings, labels, texts = zip(*facts, strict=True)
    return Sample(
        sample_id=f"sample_{number:04d}",
        patient_id=f"patient_{number:04d}",
        study_id=f"study_{seed}_{number:04d}",
        volume_id=f"volume_{number:04d}",
        split="train",
        image_zyx=np.clip(np.rint(image), -1150, 350).astype(np.int16),
        label_zyx=label,
        label_values={anatomy: value for value, anatomy in enumerate(CENTRES_ZYX, start=1)},
        hu_window=None,
        spacing_mm=(5.0, 5.0, 5.0),
        affine_ras=np.eye(4),
        anatomies=tuple(CENTRES_ZYX),
        states=states,
        signatures=signatures,
        findings=findings,
        labels=labels,
        texts=texts,
        boxes=((0, 0, 0, *SHAPE_ZYX),) * 3,
    )


def _content(sample: Sample) -> str:
    return hashlib.sha256(sample.image_zyx.tobytes() + sample.label_zyx.tobytes()).hexdigest()


def _drawn(anatomy: str, rng: np.random.Generator, prevalence: float) -> ToyFinding | None:
    draw = float(rng.random())
    for number, finding in enumerate(f for f in TOY_FINDINGS if f.anatomy == anatomy):
        if draw < prevalence * (number + 1):
            return finding
    return None


def _said(anatomy: str, chosen: ToyFinding | None, rng: np.random.Generator) -> tuple[Any, ...]:
    """State, signature, finding set, labels, text."""
    if chosen:
        code = 1 + [f.id for f in TOY_FINDINGS].index(chosen.id)
        text = str(rng.choice(PHRASES)).format(chosen.name)
        found = frozenset({chosen.id})
        return "abnormal", code, frozenset({f"{chosen.id}|present|"}), found, text
    template = f"{anatomy} shows no significant abnormalities."
    if rng.random() < 0.5:
        return "not_mentioned", 0, frozenset(), frozenset(), template
    said = str(rng.choice([f"No abnormality of the {anatomy}.", f"The {anatomy} is normal."]))
    return "normal_stated", 0, frozenset(), frozenset(), f"{template} {said}"


def _ball(centre_zyx: np.ndarray[Any, Any], radii_zyx: tuple[float, float, float]) -> Any:
    grid = np.indices(SHAPE_ZYX).transpose(1, 2, 3, 0)
    return (((grid - centre_zyx) / radii_zyx) ** 2).sum(-1) <= 1


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
