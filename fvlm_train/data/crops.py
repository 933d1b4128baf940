"""A crop of a sample as training sees it: drawn, read into its place in a batch, and described.

Shapes: A anatomy, N tokens; arrays are (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fvlm_train.data.texts import encoder_text, mirrored
from fvlm_train.data.windows import anatomy_tokens, intensity, touches_face

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.shards import Sample
    from fvlm_train.config import TrainConfig
    from fvlm_train.data.windows import Array, Box, Intensity, SampleSource, SizeZYX


@dataclass(frozen=True, slots=True)
class Crop:
    """What was drawn of a sample: its number, the box to read, and the axes mirrored (0 = z)."""

    index: int
    box: Box
    mirrored_axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the report says of a sample, and which anatomies its window shows whole.

    All tuples align with the trained anatomies; `states` is None where there is no text.
    `texts` are compared, `encoder_texts` are read by BERT. `damaged` says why a sample that
    could not be read takes no part. `apart` holds the studies that review holds to differ from
    this one; it is empty where there are none.
    """

    sample_id: str
    study_id: str
    intact: tuple[bool, ...]
    states: tuple[str | None, ...]
    signatures: tuple[int, ...]
    findings: tuple[frozenset[str], ...]
    labels: tuple[frozenset[str], ...]
    texts: tuple[str, ...]
    encoder_texts: tuple[str, ...]
    damaged: str | None = None
    apart: tuple[frozenset[str], ...] = ()

    def apart_in(self, anatomy: int) -> frozenset[str]:
        """Studies that differ in the anatomy of that number, by review."""
        return self.apart[anatomy] if self.apart else frozenset()


@dataclass(frozen=True, slots=True)
class Item:
    """Of one crop: the map of its stored values, tokens (A, N) of each anatomy, and facts.

    `measured_af` are features of the organs of the whole sample, where the model takes such.
    """

    intensity: Intensity
    tokens_an: Array
    facts: Facts
    measured_af: Array | None = None


def read_crop(
    source: SampleSource,
    crop: Crop,
    config: TrainConfig,
    image_zyx: Array,
    label_zyx: Array,
    organs_zyx: Array | None = None,
    measured_af: Array | None = None,
) -> Item:
    """Read a crop, padded and mirrored, into `image_zyx`, without a copy in between.

    All arrays have the size of the training crop; `label_zyx` (uint8) is scratch: the label as
    read, not mirrored. `organs_zyx` (uint8) takes 1 + the number of each voxel's anatomy.
    With `measured_af` (features of whole organs) all organs that it knows take part.

    Raises:
        StoreError: the sample cannot be read; `image_zyx` then holds no image.
    """
    # a view: what is written upright lies mirrored in `image_zyx`
    upright_zyx = np.flip(image_zyx, crop.mirrored_axes)
    inside = _inside(crop.box, config.crop)
    sample = source.read(crop.index, crop.box, (upright_zyx[inside], label_zyx[inside]))
    mapping = intensity(sample.hu_window, config.window_hu)
    _fill_around(upright_zyx, inside, mapping.air)
    _fill_around(label_zyx, inside, 0)
    tokens_azyx, intact = _shown(sample, label_zyx, inside, config)
    if measured_af is not None:
        intact = _measured(sample, measured_af, config)
    if organs_zyx is not None:
        # a cut organ takes no part in the loss, and its size would be wrong
        shown_zyx = organ_numbers(sample, label_zyx, config, intact)
        np.flip(organs_zyx, crop.mirrored_axes)[...] = shown_zyx
    mirrored_azyx = np.flip(tokens_azyx, [1 + axis for axis in crop.mirrored_axes])
    facts = facts_of(sample, config, intact, sides_exchanged=2 in crop.mirrored_axes)
    return Item(mapping, mirrored_azyx.reshape(len(config.anatomies), -1), facts, measured_af)


def windowless_item(sample: Sample, crop: Crop, config: TrainConfig, measured_af: Array) -> Item:
    """What is known of a sample where the model looks at no window: no image, no token."""
    return Item(
        intensity(sample.hu_window, config.window_hu),
        np.zeros((len(config.anatomies), 0), bool),
        facts_of(
            sample,
            config,
            _measured(sample, measured_af, config),
            sides_exchanged=2 in crop.mirrored_axes,
        ),
        measured_af,
    )


def _measured(sample: Sample, measured_af: Array, config: TrainConfig) -> tuple[bool, ...]:
    """Which trained anatomies the whole sample shows."""
    return tuple(
        anatomy in sample.anatomies and not bool(np.isnan(found_f[0]))
        for anatomy, found_f in zip(config.anatomies, measured_af, strict=True)
    )


def organ_numbers(
    sample: Sample, label_zyx: Array, config: TrainConfig, shown: Sequence[bool] | None = None
) -> Array:
    """1 + the number of the trained anatomy (uint8) of each voxel of a label, 0 for none.

    With `shown`, of those anatomies alone for which it is true.
    """
    numbers = np.zeros(256, np.uint8)
    for number, anatomy in enumerate(config.anatomies):
        value = sample.label_values.get(anatomy)
        if value is not None and (shown is None or shown[number]):
            numbers[value] = number + 1
    organs_zyx: Array = numbers[label_zyx]
    return organs_zyx


def blank_item(like: Item, config: TrainConfig, why: str) -> Item:
    """A crop of air, which shows no anatomy: it takes no part in any loss."""
    count = len(config.anatomies)
    facts = Facts(
        sample_id="",
        study_id="",
        intact=(False,) * count,
        states=(None,) * count,
        signatures=(0,) * count,
        findings=(frozenset(),) * count,
        labels=(frozenset(),) * count,
        texts=("",) * count,
        encoder_texts=tuple(encoder_text("", a, config.template) for a in config.anatomies),
        damaged=why,
    )
    unknown_af = None if like.measured_af is None else np.full_like(like.measured_af, np.nan)
    return Item(like.intensity, np.zeros_like(like.tokens_an), facts, unknown_af)


def facts_of(
    sample: Sample, config: TrainConfig, intact: tuple[bool, ...], *, sides_exchanged: bool
) -> Facts:
    """The sample's texts and states in the order of the trained anatomies."""
    place = {anatomy: number for number, anatomy in enumerate(sample.anatomies)}
    at = [place.get(anatomy) for anatomy in config.anatomies]
    texts = ["" if n is None else sample.texts[n] for n in at]
    if sides_exchanged:
        texts = [mirrored(text) for text in texts]
    return Facts(
        sample_id=sample.sample_id,
        study_id=sample.study_id,
        intact=intact,
        states=tuple(None if n is None else sample.states[n] for n in at),
        # signatures and findings keep their sides: the configuration refuses flips along x with
        # policies that compare them
        signatures=tuple(0 if n is None else sample.signatures[n] for n in at),
        findings=tuple(frozenset() if n is None else sample.findings[n] for n in at),
        labels=tuple(frozenset() if n is None else frozenset(sample.labels[n]) for n in at),
        texts=tuple(texts),
        encoder_texts=tuple(
            encoder_text(text, anatomy, config.template)
            for text, anatomy in zip(texts, config.anatomies, strict=True)
        ),
        apart=tuple(frozenset() if n is None else sample.apart[n] for n in at)
        if any(sample.apart)
        else (),
    )


def _shown(
    sample: Sample, label_zyx: Array, inside: tuple[slice, ...], config: TrainConfig
) -> tuple[Array, tuple[bool, ...]]:
    """Tokens (A, z, y, x) of each anatomy that has a text, and whether the crop shows it whole."""
    patch_zyx = config.model.image.patch_zyx
    grid = [size // patch for size, patch in zip(config.crop, patch_zyx, strict=True)]
    tokens_azyx = np.zeros((len(config.anatomies), *grid), bool)
    intact = [False] * len(config.anatomies)
    starts = [axis.start for axis in inside]
    for number, anatomy in enumerate(config.anatomies):
        if anatomy not in sample.anatomies:
            continue
        value = sample.label_values[anatomy]
        box = sample.boxes[sample.anatomies.index(anatomy)]
        # boxes count from the part that was read, labels from the padded crop
        z0, y0, x0, z1, y1, x1 = (edge + start for edge, start in zip(box, starts * 2, strict=True))
        placed = (z0, y0, x0, z1, y1, x1)
        tokens_azyx[number] = anatomy_tokens(label_zyx, value, placed, patch_zyx)
        seen = bool(tokens_azyx[number].any())
        # the public code's rule: an anatomy cut by the window is not compared with a text about all
        # of it
        intact[number] = seen and not touches_face(label_zyx, value, placed)
    return tokens_azyx, tuple(intact)


def _inside(box: Box, size_zyx: SizeZYX) -> tuple[slice, slice, slice]:
    """Where a box lies in the training crop: in the middle, an odd voxel of padding behind it."""
    shape = [box[axis + 3] - box[axis] for axis in range(3)]
    starts = [(wanted - size) // 2 for wanted, size in zip(size_zyx, shape, strict=True)]
    z, y, x = (slice(start, start + size) for start, size in zip(starts, shape, strict=True))
    return z, y, x


def _fill_around(array_zyx: Array, inside: tuple[slice, ...], value: int) -> None:
    """Set what lies outside of `inside`."""
    for axis, part in enumerate(inside):
        along_zyx = np.moveaxis(array_zyx, axis, 0)
        along_zyx[: part.start] = value
        along_zyx[part.stop :] = value
