"""Scalars of each step as TensorBoard reads them, without it: RUN/events.out.tfevents.fvlm.

A file of TFRecords: length, masked CRC-32C of the length, an `Event` of protocol buffers, masked
CRC-32C of it. Source: TensorFlow's record_writer.h, event.proto and summary.proto.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import google_crc32c

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

EVENTS = "events.out.tfevents.fvlm"
VERSION = b"brain.Event:2"
NO_SCALARS = ("step", "epoch", "losses", "damaged")

# keys of fields: number << 3 | type on the wire (0 varint, 1 double, 2 length and bytes, 5 float)
WALL_TIME, STEP, FILE_VERSION, SUMMARY = 1 << 3 | 1, 2 << 3, 3 << 3 | 2, 5 << 3 | 2
VALUE, TAG, SIMPLE_VALUE = 1 << 3 | 2, 1 << 3 | 2, 2 << 3 | 5


class EventLog:
    """The file, a context manager; `earlier` steps of a resumed run are written anew.

    Only the first rank `writes`. The time of a step is the training time until then, in seconds, so
    that the same log gives the same file.
    """

    def __init__(
        self, run: Path, earlier: Iterable[dict[str, Any]], *, writes: bool = True
    ) -> None:
        """Nothing is written yet."""
        self._path = run / EVENTS
        self._earlier = earlier
        self._writes = writes
        self._time_s = 0.0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Open the file."""
        if self._writes:
            self._file = self._path.open("wb")
            self._file.write(record(_double(WALL_TIME, 0.0) + _bytes(FILE_VERSION, VERSION)))
            for line in self._earlier:
                self.write(line)
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def write(self, line: dict[str, Any]) -> None:
        """Append one step as the run's log has it."""
        if self._file is None:
            return
        self._time_s += line["time_s"] + line.get("wait_s", 0.0)
        values = b"".join(_scalar(tag, value) for tag, value in scalars(line))
        event = _double(WALL_TIME, self._time_s) + bytes([STEP]) + _varint(line["step"])
        self._file.write(record(event + _bytes(SUMMARY, values)))
        self._file.flush()


def scalars(line: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Tags and values of a line of the log; what is None or no number is left out."""
    for name, value in line.items():
        if name not in NO_SCALARS and value is not None:
            yield name, float(value)
    for anatomy, value in line["losses"].items():
        yield f"loss_of/{anatomy}", float(value)


def record(payload: bytes) -> bytes:
    """A TFRecord."""
    length = struct.pack("<Q", len(payload))
    return length + _masked_crc(length) + payload + _masked_crc(payload)


def _masked_crc(content: bytes) -> bytes:
    crc = google_crc32c.value(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _scalar(tag: str, value: float) -> bytes:
    told = bytes([SIMPLE_VALUE]) + struct.pack("<f", value)
    return _bytes(VALUE, _bytes(TAG, tag.encode()) + told)


def _double(key: int, value: float) -> bytes:
    return bytes([key]) + struct.pack("<d", value)


def _bytes(key: int, content: bytes) -> bytes:
    return bytes([key]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
