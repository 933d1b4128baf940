"""Whether all HU of a volume are off by one number: air, fat and soft tissue lie elsewhere.

The values are described twice as a mixture of what a CT shows, with HU as they are and with HU
moved by one number. Where the moved one describes them much better, and shows at least two of the
tissues whose density is known, the intercept is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig

SAMPLE_VOXELS = 1 << 18
"""About this many voxels of a large image are counted, on an even lattice."""

LEAST_VOXELS = 20_000
"""Fewer counted voxels show no mixture of tissues."""

BIN_HU, LOWEST_HU, HIGHEST_HU = 10, -1300, 900
PADDING_HU = -1500
CLIPPED_HU = -1000
"""The least value, where it lies below this, is clipped or painted air and was not measured."""

STEP_BINS, BINS = 2, (-30, 50)
"""Shifts that are tried: every 20 HU from -300 to 500; what lies beyond is told as
`rescaling_repeated` or `rescaling_forgotten`."""

ROUNDS = 15

PEAKS_HU = {
    "air": ((-1000, 25), (-1024, 10)),
    "light": ((-840, 70), (-930, 40)),
    "fat": ((-105, 25),),
    "soft": ((45, 30),),
    "organ": ((100, 35),),
}
"""Middle and spread of what a CT shows: air around a body, lung and the foam of a table, fat,
muscle and blood, enhanced organs (textbook values: fat -120 to -90, muscle 35 to 70)."""

CONTRAST_HU = (80, 700, 200)
"""From, to and length of decay of bone and vessels."""

LEAST_HU = 80
"""Smaller shifts are told by no mixture: kilovoltage and kernels move fat by 20 HU, contrast
medium organs by 60."""

GAIN_SURE, GAIN = (0.22, 0.1), (0.215, 0.04)
"""Gain in log-likelihood a voxel, for values too high and too low. Where the tissues below are
shown, true volumes and cuts of a few cm reach 0.21 by the first (muscle and blood in contrast
medium pass for fat and muscle) and nothing by the second; whole ones moved by 100 HU 0.22, 0.09."""

FAT, SOFT, AIR, TISSUE = 0.03, 0.05, 0.05, 0.3
SCALES_PERCENT = (75, 80, 85, 90, 110, 115, 120, 125)
GAIN_SCALE = 0.06
"""True volumes and cuts of a few cm reach 0.05 (values too large) and nothing (too small); whole
ones scaled by 90 % 0.16, by 110 % 0.06, but for one of five with 0.04."""

RARE = 1e-9
"""What no part shows is rare, not impossible."""

NO_SOFT, MUCH_FAT, MUCH_SOFT = 0.01, 0.1, 0.1
"""A body of fat without any soft tissue: values were moved down and clipped at -1024 HU."""

ALONE_AIR, ALONE_SOFT, LIGHT_TO_AIR = 0.15, 0.1, 1 / 3
"""Shares that a tissue must have to be told: air, fat and soft tissue together; or air that is no
lung (much more of it than of what is somewhat denser) and soft tissue, as in a head."""


@dataclass(frozen=True, slots=True)
class Offset:
    """HU by which all values are too high; `sure`: by air as well, or by tissue below air."""

    hu: int
    sure: bool


@dataclass(frozen=True, slots=True)
class _Fit:
    """Log-likelihood a voxel of a mixture and weights of its parts; soft: with enhanced organs."""

    likelihood: float
    air: float
    light: float
    fat: float
    soft: float
    dense: float


def check_offset(image_zyx: NDArray[np.int16], config: IngestConfig) -> Fault | dict[str, int]:
    """Counts of a volume's HU that are off, or why it is refused: `hu_offset`.

    Soft tissue and fat alone (a cut within the body) refuse nothing: `hu_offset_doubtful`; nor does
    a scale that is off, `hu_scale_doubtful` in percent.
    """
    if config.hu_offset == "ignore":
        return {}
    found = hu_offset(image_zyx)
    if found is None:
        percent = hu_scale(image_zyx)
        return {"hu_scale_doubtful": percent} if percent else {}
    if not found.sure:
        return {"hu_offset_doubtful": found.hu}
    if config.hu_offset == "flag":
        return {"hu_offset": found.hu}
    return Fault(
        "hu_offset",
        f"air, fat and soft tissue lie about {found.hu:+d} HU from where they can be (-1000, -105 "
        "and 45 HU): the intercept is wrong; correct it and send the series again, or set "
        "ingest.hu_offset to flag",
    )


def hu_offset(image_zyx: NDArray[np.int16]) -> Offset | None:
    """By how much the HU of a volume, any axes, are off, in steps of 20; None: by nothing known."""
    shares = _shares(image_zyx)
    if shares is None:
        return None
    fits = {shift: _fitted(shares, table) for shift, table in _shifted().items()}
    shift = max(fits, key=lambda one: (fits[one].likelihood, -abs(one)))
    found, hu = fits[shift], shift * BIN_HU
    gain, down = found.likelihood - fits[0].likelihood, int(hu < 0)
    if abs(hu) < LEAST_HU or gain < GAIN[down]:
        return _without_soft_tissue(fits)
    tissue = found.fat >= FAT and found.soft >= max(SOFT, found.dense)
    head = found.air >= ALONE_AIR and found.soft >= max(ALONE_SOFT, found.dense)
    by_air = (tissue and found.air >= AIR) or (head and found.light <= LIGHT_TO_AIR * found.air)
    by_tissue = tissue and bool(down) and found.fat + found.soft >= TISSUE
    if gain >= GAIN_SURE[down] and (by_air or by_tissue):
        return Offset(hu, sure=True)
    return Offset(hu, sure=False) if tissue else None


def hu_scale(image_zyx: NDArray[np.int16]) -> int | None:
    """The scale of a volume's HU above air in percent, where another than 100 fits much better."""
    shares = _shares(image_zyx)
    if shares is None:
        return None
    as_they_are = _fitted(shares, _shifted()[0]).likelihood
    fits = {percent: _fitted(shares, table) for percent, table in _scaled().items()}
    percent = max(fits, key=lambda one: fits[one].likelihood)
    found = fits[percent]
    tissue = found.fat >= FAT and found.soft >= max(SOFT, found.dense)
    return percent if tissue and found.likelihood - as_they_are >= GAIN_SCALE else None


def _without_soft_tissue(fits: Mapping[int, _Fit]) -> Offset | None:
    told = fits[0]
    if told.soft >= NO_SOFT or told.fat < MUCH_FAT:
        return None
    below = [shift for shift, one in fits.items() if shift < 0 and one.soft >= MUCH_SOFT]
    if not below:
        return None
    return Offset(BIN_HU * max(below, key=lambda one: fits[one].likelihood), sure=False)


def _shares(image_zyx: NDArray[np.int16]) -> NDArray[np.float64] | None:
    """Shares of the bins of what was measured; None of too little."""
    step = max(1, round((image_zyx.size / SAMPLE_VOXELS) ** (1 / image_zyx.ndim)))
    sample = image_zyx[(slice(None, None, step),) * image_zyx.ndim].ravel()
    sample = sample[sample > PADDING_HU]
    if sample.size and (least := int(sample.min())) <= CLIPPED_HU:
        sample = sample[sample > least]
    if sample.size < LEAST_VOXELS:
        return None
    bins = (np.clip(sample, LOWEST_HU, HIGHEST_HU - 1).astype(np.int32) - LOWEST_HU) // BIN_HU
    counts = np.bincount(bins, minlength=(HIGHEST_HU - LOWEST_HU) // BIN_HU)
    return counts / sample.size


def _fitted(shares: NDArray[np.float64], table: NDArray[np.float64]) -> _Fit:
    """The best weights of the parts, by expectation and maximisation."""
    weights = np.full(len(table), 1 / len(table))
    for _ in range(ROUNDS):
        weights = weights * (table @ (shares / (weights @ table)))
        weights /= weights.sum()
    air, light, fat, soft, organ, dense, _ = weights.tolist()
    return _Fit(float(shares @ np.log(weights @ table)), air, light, fat, soft + organ, dense)


@cache
def _shifted() -> dict[int, NDArray[np.float64]]:
    """Densities (part, bin) of what a CT shows by shift in bins; PEAKS_HU, then dense, any."""
    table = _parts(_middles())
    made = {}
    for shift in range(BINS[0], BINS[1] + 1, STEP_BINS):
        moved = np.roll(table, shift, axis=1)
        if shift > 0:
            moved[:, :shift] = 0
        elif shift < 0:
            moved[:, shift:] = 0
        made[shift] = moved + RARE
    return made


@cache
def _scaled() -> dict[int, NDArray[np.float64]]:
    """The same by scale in percent, air left where it is."""
    air = PEAKS_HU["air"][0][0]
    return {
        percent: _parts((_middles() - air) * 100 / percent + air) + RARE
        for percent in SCALES_PERCENT
    }


def _middles() -> NDArray[np.float64]:
    return np.arange(LOWEST_HU, HIGHEST_HU, BIN_HU) + BIN_HU / 2


def _parts(middles: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each part has of bins with such middles, HU."""
    rows = [
        np.max([np.exp(-0.5 * ((middles - hu) / spread) ** 2) for hu, spread in peaks], axis=0)
        for peaks in PEAKS_HU.values()
    ]
    low, high, decay = CONTRAST_HU
    dense = (middles > low) & (middles < high)
    rows.append(np.where(dense, np.exp(-(middles - low) / decay), 0.0))
    rows.append((middles > CLIPPED_HU).astype(float))
    return np.array([row / row.sum() for row in rows])
