"""Huffman-coded JPEG: whether the coded data end with the image, as they do where nothing is lost.

Decoders of JPEG (ITU T.81) have no checksum to look at. Damage turns into other codes, and from
there on most often into too many or too few of them: the decoder is through with the image before
the data end, or has to make up the rest. That shows from outside: a change in the last bits of the
data must change the last pixels, and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LOSSLESS, SEQUENTIAL = 0xC3, (0xC0, 0xC1)
FRAME_HEADERS = (*SEQUENTIAL, LOSSLESS)
"""Of one scan and Huffman-coded; progressive and arithmetic ones end otherwise (T.81 B.1.1.3)."""

SCAN, RESTART_INTERVAL = 0xDA, 0xDD
BLOCK = 8
LAST_BYTES = {LOSSLESS: 4, **dict.fromkeys(SEQUENTIAL, 16)}
"""Bytes from the end that are tried: some encoders fill up behind the last code, and a change of a
lossy coefficient may be too small to show."""

CODES_A_BYTE = {LOSSLESS: 8, **dict.fromkeys(SEQUENTIAL, 3)}
"""No more codes are in a byte: a pixel takes a bit at least, a block two codes of two bits, and one
may begin before the byte."""


def ends_with_image(stream: bytes) -> bool:
    """Whether the coded data of a JPEG end where its image does.

    True as well for what the test does not know: several components or scans, progressive,
    arithmetic. `stream` has passed `check_codestream`.

    Raises:
        Exception: the decoder refuses the stream.
    """
    layout = _layout(stream)
    if layout is None:
        return True
    frame, start, interval = layout
    ends = [end for end in _interval_ends(stream, start, restarts=interval > 0) if end > start]
    image = imagecodecs.jpeg8_decode(stream)
    codes = _codes(image != image, frame).size
    units = interval or codes
    if len(ends) != -(-codes // units):
        return False
    waiting = set(range(len(ends)))
    for back in range(1, LAST_BYTES[frame] + 1):
        changed = bytearray(stream)
        for number in waiting:
            _flip(changed, ends[number] - back)
        most = back * CODES_A_BYTE[frame]
        differs = _codes(imagecodecs.jpeg8_decode(bytes(changed)) != image, frame)
        for number in sorted(waiting):
            part = differs[number * units : (number + 1) * units]
            found = np.flatnonzero(part)
            if found.size and found[0] < part.size - most:
                return False
            if found.size:
                waiting.discard(number)
        if not waiting:
            return True
    return False


def _codes(differs: NDArray[np.bool_], frame: int) -> NDArray[np.bool_]:
    """Which codes, in their order, have a pixel that differs: by pixel, or by block of 8 x 8."""
    if frame == LOSSLESS:
        return differs.ravel()
    rows, columns = (-(-length // BLOCK) * BLOCK for length in differs.shape)
    whole = np.zeros((rows, columns), dtype=bool)
    whole[: differs.shape[0], : differs.shape[1]] = differs
    blocks = whole.reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
    found: NDArray[np.bool_] = blocks.any(axis=(1, 3)).ravel()
    return found


def _flip(stream: bytearray, at: int) -> None:
    """Change the first bit of a coded byte; FF 00 stands for FF (T.81 B.1.1.5)."""
    if stream[at] == 0 and stream[at - 1] == 0xFF:
        at -= 1
    stream[at] ^= 0x80


def _layout(stream: bytes) -> tuple[int, int, int] | None:
    """Frame header code, start of the only scan's data, codes of a restart interval (0: none)."""
    frame = interval = 0
    at = 2
    while True:
        while stream[at : at + 2] == b"\xff\xff":
            at += 1
        code = stream[at + 1]
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        body = stream[at + 4 : at + 2 + length]
        if code in FRAME_HEADERS:
            frame = code
            # one component, sampled once: a code a pixel or block
            if body[5] != 1:
                return None
        elif 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            return None
        elif code == RESTART_INTERVAL:
            interval = int.from_bytes(body[:2], "big")
        at += 2 + length
        if code == SCAN:
            return (frame, at, interval) if frame else None


def _interval_ends(stream: bytes, start: int, *, restarts: bool) -> Iterator[int]:
    """Where each restart interval of the scan ends: at its marker."""
    values = np.frombuffer(stream, np.uint8)[start:]
    after = values[1:]
    marks = np.flatnonzero((values[:-1] == 0xFF) & (after != 0) & (after != 0xFF)).tolist()
    yield from (start + place for place in marks[: None if restarts else 1])
