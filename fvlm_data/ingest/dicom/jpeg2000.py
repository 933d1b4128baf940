"""Plugin for pydicom: JPEG 2000 and HTJ2K by imagecodecs, which decodes without the GIL.

It uses OpenJPEG, as pylibjpeg does, but that binding holds the GIL: two of its threads decode no
more slices a second than one. pydicom's guide on decoder plugins names the functions below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
)

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

NAME = "imagecodecs"
SYNTAXES = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("imagecodecs",))


def is_available(uid: str) -> bool:
    """Whether the plugin decodes a transfer syntax."""
    return uid in SYNTAXES


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """The values of one codestream, rows after columns, in as many bits as its precision needs.

    Raises:
        RuntimeError: the codestream is damaged.
    """
    image = imagecodecs.jpeg2k_decode(src)
    runner.set_option("bits_allocated", 8 * image.itemsize)
    values: bytes = image.tobytes()
    return values


for _syntax in SYNTAXES:  # at import, which happens once whatever thread comes first
    get_decoder(_syntax).add_plugin(NAME, (__name__, "decode_frame"))
