"""Plugin for pydicom: the lossless and wavelet codecs by imagecodecs, without the GIL.

Of the decoders at hand these are the strictest and fastest: CharLS and the RLE decoder refuse
nearly every damaged stream; OpenJPEG is what pylibjpeg uses too, but that binding holds the GIL, so
that two of its threads decode no more slices a second than one; libjpeg-turbo, for JPEG lossless,
is fast enough to be asked twice (`entropy`). Lossy JPEG stays with pylibjpeg. pydicom's guide on
decoder plugins names the functions below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pydicom.pixels.decoders.base import DecodeRunner

NAME = "imagecodecs"

DECODERS: dict[str, Callable[[bytes], NDArray[Any]]] = {
    **dict.fromkeys((JPEGLossless, JPEGLosslessSV1), imagecodecs.jpeg8_decode),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), imagecodecs.jpegls_decode),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000), imagecodecs.jpeg2k_decode),
    **dict.fromkeys((HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), imagecodecs.jpeg2k_decode),
}
SYNTAXES = (*DECODERS, RLELossless)
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("imagecodecs",))


class WrongLengthError(ValueError):
    """A decoder gave more or fewer values than the image has pixels."""


def is_available(uid: str) -> bool:
    """Whether the plugin decodes a transfer syntax."""
    return uid in SYNTAXES


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """The values of one frame, rows after columns, in as many bits as its precision needs.

    Raises:
        Exception: the frame is damaged; each codec has a type of its own.
    """
    if runner.transfer_syntax == RLELossless:
        return _run_length(src, runner)
    image = DECODERS[runner.transfer_syntax](src)
    runner.set_option("bits_allocated", 8 * image.itemsize)
    values: bytes = image.tobytes()
    return values


def _run_length(src: bytes, runner: DecodeRunner) -> bytes:
    """Values of an RLE frame (PS3.5 annex G), of which every run and segment must come out even."""
    bits = runner.bits_allocated
    values = bytes(imagecodecs.dicomrle_decode(src, np.dtype(f"<u{bits // 8}")))
    expected = runner.rows * runner.columns * bits // 8
    if len(values) != expected:
        raise WrongLengthError(f"{len(values)} bytes, expected {expected}")
    # colour by plane is never asked for: such images are refused before
    runner.set_option("planar_configuration", 0)
    return values


for _syntax in SYNTAXES:  # at import, which happens once whatever thread comes first
    get_decoder(_syntax).add_plugin(NAME, (__name__, "decode_frame"))
