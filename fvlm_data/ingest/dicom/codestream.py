"""Compressed frames before they are decoded: what size they claim, whether they are whole.

Decoders take memory by what the codestream claims and make up what is missing; neither is left to
them. JPEG and JPEG-LS are ITU T.81 and T.87, JPEG 2000 and HTJ2K are ITU T.800 and T.814.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

JPEG_START = b"\xff\xd8"
JPEG2000_START = b"\xff\x4f\xff\x51"
END_OF_IMAGE = b"\xff\xd9"
"""The last marker of JPEG (EOI), JPEG-LS and JPEG 2000 (EOC) alike."""

FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15 without DHT, JPG and DAC (T.81 table B.1), and SOF55 of JPEG-LS (T.87 C.1.1)."""

SCAN, RESTART_INTERVAL, JPEG_LS = 0xDA, 0xDD, 0xF7
RESTARTS = range(0xD0, 0xD8)
BETWEEN_SCANS = frozenset({0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xF8, 0xFE, *range(0xE0, 0xF0)})
"""Markers that may follow a scan besides EOI: tables, a further scan, DNL, comments."""

TILE_PART, TILE_DATA = 0x90, 0x93
IN_PACKETS = frozenset({0x91, 0x92})
"""SOP and EPH (T.800 A.8), which stand among the packets of a tile-part."""


def check_codestream(frame: bytes, rows: int, columns: int) -> Fault | None:
    """Refuse a JPEG, JPEG-LS or JPEG 2000 frame that is not whole, or of another size than stated.

    The structure is followed from the first marker to the last; behind that only zeros may stand
    (padding, of whatever length). Reasons: `truncated_pixels`, `damaged_codestream`,
    `wrong_image_size`.
    """
    start = frame.find(JPEG2000_START, 0, 4096)  # a JP2 file has boxes in front
    whole = frame.rstrip(b"\x00")
    if not whole.endswith(END_OF_IMAGE):
        return truncated("the codestream breaks off before its end mark")
    try:
        if start >= 0:
            found = _jpeg2000(frame[start : len(whole)])
        elif frame.startswith(JPEG_START):
            found = _jpeg(whole)
        else:
            return damaged("it begins with no start mark")
    except (IndexError, ValueError):
        return damaged("a marker segment runs over its end")
    if isinstance(found, Fault):
        return found
    if found != (rows, columns):
        return Fault(
            "wrong_image_size",
            f"the codestream holds {found[0]} x {found[1]} pixels, expected {rows} x {columns} as "
            "the header states; send the file again from the archive",
        )
    return None


def truncated(found: str) -> Fault:
    """The fault of pixel data that end too early."""
    return Fault("truncated_pixels", f"{found}; send the file again from the archive")


def damaged(found: str) -> Fault:
    """The fault of a codestream whose structure is broken."""
    return Fault(
        "damaged_codestream",
        f"the compressed image is damaged: {found}; send the file again from the archive",
    )


def _jpeg(stream: bytes) -> tuple[int, int] | Fault:
    """Rows and columns of a JPEG or JPEG-LS codestream that ends in EOI."""
    size: tuple[int, int] | None = None
    is_ls, restarts = False, False
    at = 2
    while True:
        while stream[at : at + 2] == b"\xff\xff":  # fill bytes (T.81 B.1.1.2)
            at += 1
        code, length = _segment(stream, at)
        if code == END_OF_IMAGE[1]:
            # behind it may stand nothing: an EOI in the middle hides the rest
            return size or damaged("no frame header") if at + 2 == len(stream) else _early_end()
        body = stream[at + 4 : at + 2 + length]
        if code in FRAME_HEADERS:
            is_ls = code == JPEG_LS
            size = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        elif code == RESTART_INTERVAL:
            restarts = any(body)
        at += 2 + length
        if code == SCAN:
            if size is None:
                return damaged("a scan before its frame header")
            end = _scan_end(stream, at, is_ls=is_ls, restarts=restarts)
            if isinstance(end, Fault):
                return end
            at = end


def _segment(stream: bytes, at: int) -> tuple[int, int]:
    """Code of the marker at `at`, and the length of its segment (T.81 B.1.1.4)."""
    if stream[at] != 0xFF:
        raise ValueError
    code = stream[at + 1]
    if code == END_OF_IMAGE[1]:
        return code, 0
    length = int.from_bytes(stream[at + 2 : at + 4], "big")
    if length < 2 or at + 2 + length > len(stream):
        raise ValueError
    return code, length


def _scan_end(stream: bytes, start: int, *, is_ls: bool, restarts: bool) -> int | Fault:
    """Where the entropy-coded data end: at the first marker that is no restart (T.81 B.1.1.5)."""
    coded = _codes(stream, start, least=0x80 if is_ls else 0x01)
    for number, (at, code) in enumerate(coded):
        if code not in RESTARTS:
            if code != END_OF_IMAGE[1] and code not in BETWEEN_SCANS:
                return damaged(f"a marker FF{code:02X} within its coded data")
            return at
        if not restarts or code != 0xD0 + number % 8:
            return damaged("a restart marker out of turn")
    return damaged("no marker behind its coded data")


def _codes(stream: bytes, start: int, least: int) -> Iterator[tuple[int, int]]:
    """Places and codes of FF bytes that are followed by `least` or more, FF FF left out."""
    values: NDArray[np.uint8] = np.frombuffer(stream, np.uint8)[start:]
    second = values[1:]
    places = np.flatnonzero((values[:-1] == 0xFF) & (second >= least) & (second != 0xFF))
    for place in places.tolist():
        yield start + place, int(second[place])


def _jpeg2000(stream: bytes) -> tuple[int, int] | Fault:
    """Rows and columns of a JPEG 2000 codestream: main header, tile-parts, EOC (T.800 A.3)."""
    # Xsiz, Ysiz, XOsiz, YOsiz behind marker, length and Rsiz (A.5.1)
    width, height, left, top = (int.from_bytes(stream[n : n + 4], "big") for n in (8, 12, 16, 20))
    at = 2
    while (segment := _segment(stream, at))[0] != TILE_PART:
        at += 2 + segment[1]
    while stream[at : at + 2] != END_OF_IMAGE:
        code, length = _segment(stream, at)
        if code != TILE_PART:
            return damaged(f"a marker FF{code:02X} between its tile-parts")
        # Psot counts from the marker; 0: up to the end (A.4.2)
        size = int.from_bytes(stream[at + 6 : at + 10], "big") or len(stream) - 2 - at
        end = at + size
        if size < 14 or end > len(stream) - 2:
            return damaged("a tile-part runs over its end")
        at += 2 + length
        while stream[at : at + 2] != bytes((0xFF, TILE_DATA)):
            at += 2 + _segment(stream, at)[1]
        # no code above FF8F arises among the packets (B.10.1, C.3)
        coded = stream[at + 2 : end]
        for _, code in _codes(coded, 0, least=0x90):
            if code not in IN_PACKETS:
                return damaged(f"a marker FF{code:02X} within its coded data")
        at = end
    return _early_end() if at + 2 != len(stream) else (height - top, width - left)


def _early_end() -> Fault:
    return damaged("its end mark stands before its end")
