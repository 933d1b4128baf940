"""An object of a bucket of which only what is read comes over the network."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO, cast

from fvlm_data.ingest.sources.objects import read_range

PART_BYTES = 1 << 16
"""The header of a CT slice fits in: with it and the end of the file, discovery is done."""

MOST_PARTS = 16
"""Parts that one request asks for, at most, of a header that goes on and on."""


class ObjectInParts(io.RawIOBase):
    """A file in parts of `PART_BYTES`, each fetched when it is first read and then kept."""

    name = ""  # pydicom asks buffered files for one

    def __init__(self, url: str, profile: str) -> None:
        """The first part is fetched at once: with it comes the size.

        Raises:
            OSError: there is no such object.
            MachineError: the server does not answer.
        """
        super().__init__()
        self._url, self._profile = url, profile
        self._parts: dict[int, bytes] = {}
        self._ahead = 1
        self._at = 0
        content, answer = read_range(url, profile, 0, PART_BYTES, "")
        self._tag = str(answer["ETag"])
        told = str(answer.get("ContentRange", ""))
        self._size = int(told.rpartition("/")[2]) if told else len(content)
        self._keep(0, content)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where it stands, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Stand elsewhere; nothing is fetched."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Bytes from where it stands, of one part at most; 0 at the end.

        Raises:
            OSError: the object is gone, or was replaced meanwhile.
            MachineError: the server does not answer.
        """
        target = memoryview(buffer).cast("B")
        number, within = divmod(self._at, PART_BYTES)
        if self._at >= self._size or not len(target):
            return 0
        if number not in self._parts:
            self._fetch(number)
        content = self._parts[number][within : within + len(target)]
        target[: len(content)] = content
        self._at += len(content)
        return len(content)

    def _fetch(self, number: int) -> None:
        """A part, and with it those behind it where the parts before were read too."""
        self._ahead = min(2 * self._ahead, MOST_PARTS) if number - 1 in self._parts else 1
        start = number * PART_BYTES
        stop = min(start + self._ahead * PART_BYTES, self._size)
        content, _ = read_range(self._url, self._profile, start, stop, self._tag)
        self._keep(number, content)

    def _keep(self, number: int, content: bytes) -> None:
        for place in range(0, len(content), PART_BYTES):
            self._parts[number + place // PART_BYTES] = content[place : place + PART_BYTES]


def read_in_part(url: str, profile: str) -> BinaryIO:
    """An object as a file that can seek, buffered.

    Raises:
        OSError: there is no such object.
        MachineError: the server does not answer; also when it is read.
    """
    return cast("BinaryIO", io.BufferedReader(ObjectInParts(url, profile), PART_BYTES))
