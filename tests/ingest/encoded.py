"""Slices of tests in every encoding that archives hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

Encoder = Callable[[NDArray[Any]], bytes]

COMPRESSED: dict[str, tuple[str, Encoder]] = {
    "JPEG lossless": (
        "1.2.840.10008.1.2.4.57",
        lambda image: imagecodecs.ljpeg_encode(image, bitspersample=16),
    ),
    "JPEG lossless, first-order prediction": (
        "1.2.840.10008.1.2.4.70",
        lambda image: imagecodecs.ljpeg_encode(image, bitspersample=16),
    ),
    "JPEG-LS lossless": ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode),
    "JPEG-LS near-lossless": ("1.2.840.10008.1.2.4.81", imagecodecs.jpegls_encode),
    "JPEG 2000 lossless": (
        "1.2.840.10008.1.2.4.90",
        lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True),
    ),
    "JPEG 2000": (
        "1.2.840.10008.1.2.4.91",
        lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True),
    ),
    "HTJ2K lossless": (
        "1.2.840.10008.1.2.4.201",
        lambda image: imagecodecs.htj2k_encode(image, reversible=True),
    ),
    "HTJ2K": (
        "1.2.840.10008.1.2.4.203",
        lambda image: imagecodecs.htj2k_encode(image, reversible=True),
    ),
}


def unsigned(one: Dataset) -> None:
    """Store a slice's values unsigned, as most scanners do, with the same HU."""
    stored = np.frombuffer(one.PixelData, "<i2").astype(np.int32)
    hu = stored * float(one.RescaleSlope) + float(one.RescaleIntercept)
    one.PixelRepresentation = 0
    one.RescaleSlope, one.RescaleIntercept = 1, -1100
    one.PixelData = np.rint(hu + 1100).astype("<u2").tobytes()


def compress(one: Dataset, name: str) -> None:
    """Encode a slice's pixels, exactly, in a transfer syntax."""
    syntax, encode = COMPRESSED[name]
    unsigned(one)
    image = np.frombuffer(one.PixelData, "<u2").reshape(one.Rows, one.Columns)
    one.PixelData = encapsulate([encode(image)])
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True
    one.file_meta.TransferSyntaxUID = syntax
