"""Whatever a file claims, memory stays bounded and the run goes on."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from series import Series, write
from test_sources import chest, save

from fvlm_data.ingest.dicom import pixels
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate

LIMIT_BYTES = 3 << 30
"""Address space of the child: imports and their threads take 2 GiB of it, bombs claim far more."""

CHILD = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
sys.path.insert(0, {tests!r})
import conftest
from fvlm_data.identity.vault import Vault
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store
folder = Path({folder!r})
Store.create(folder / "store")
context = Context(Store.open(folder / "store"), Vault.open(folder / "secrets"), "run")
made = conftest.Ingested(folder, context)
made.run(SourceConfig(kind="images", path=folder / "in", name="bombs"))
made.check_conserved()
for row in made.rows("volumes"):
    print("volume", row["source_files"][0])
for row in made.rows("quarantine"):
    print(row["reason"], row["source_files"][0])
"""


def nifti_bomb(folder: Path, uid: str) -> None:
    path = save(folder / "bomb.nii.gz", chest(), np.eye(4))
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<hhh", content, 42, 8000, 8000, 8000)
    path.write_bytes(gzip.compress(bytes(content)))


def nifti_within_the_limit(folder: Path, uid: str) -> None:
    """1500 x 1500 x 1500 voxels of int16 are 6.8 GB, below the limit and in no such file."""
    path = save(folder / "bomb.nii", chest(), np.eye(4))
    content = bytearray(path.read_bytes())
    struct.pack_into("<hhh", content, 42, 1500, 1500, 1500)
    path.write_bytes(bytes(content))


def deflated_bomb(folder: Path, uid: str) -> None:
    """A data set of 4 GB of zeros behind its first elements, in 4 MB."""
    (one,) = Series(slices=1, series_uid=uid).datasets()
    one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    path = write([one], folder, ["bomb.dcm"])[0]
    content = path.read_bytes()
    start = content.index(b"1.2.840.10008.1.2.1.99")
    head = content[: start + 22]
    path.write_bytes(head + zeros(-zlib.MAX_WBITS))


def gzip_bomb(folder: Path, uid: str) -> None:
    (folder / "bomb.dcm.gz").write_bytes(zeros(31))


def zeros(window: int) -> bytes:
    """4 GiB of zeros, packed: one flushed block, repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    first = packer.compress(bytes(1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * 1023 + packer.flush()


def jpeg2000_bomb(folder: Path, uid: str) -> None:
    """Headers and codestreams that claim 60,000 x 60,000 pixels."""
    for number, one in enumerate(Series(series_uid=uid).datasets()):
        stream = bytearray(
            imagecodecs.jpeg2k_encode(np.zeros((8, 8), np.uint16), codecformat="j2k")
        )
        for at in (8, 12, 24, 28):
            struct.pack_into(">I", stream, at, 60_000)
        one.PixelRepresentation = 0
        one.Rows = one.Columns = 60_000
        compressed(one, stream, "1.2.840.10008.1.2.4.90")
        write([one], folder, [f"bomb{number}"])


def jpeg2000_of_another_size(folder: Path, uid: str) -> None:
    """The codestream claims 60,000 x 60,000 pixels, the header 12 x 10."""
    for number, one in enumerate(Series(series_uid=uid).datasets()):
        stream = bytearray(
            imagecodecs.jpeg2k_encode(np.zeros((8, 8), np.uint16), codecformat="j2k")
        )
        for at in (8, 12, 24, 28):
            struct.pack_into(">I", stream, at, 60_000)
        one.PixelRepresentation = 0
        compressed(one, stream, "1.2.840.10008.1.2.4.90")
        write([one], folder, [f"bomb{number}"])


def large_codestream() -> bytes:
    stream = bytearray(imagecodecs.jpeg2k_encode(np.zeros((8, 8), np.uint16), codecformat="j2k"))
    for at in (8, 12, 24, 28):
        struct.pack_into(">I", stream, at, 60_000)
    return bytes(stream)


def jpeg_of_another_size(folder: Path, uid: str) -> None:
    for number, one in enumerate(Series(series_uid=uid).datasets()):
        image = np.arange(120, dtype=np.uint16).reshape(12, 10)
        stream = bytearray(imagecodecs.ljpeg_encode(image, bitspersample=16))
        at = stream.index(b"\xff\xc3")
        struct.pack_into(">HH", stream, at + 5, 65_000, 65_000)
        one.PixelRepresentation = 0
        compressed(one, bytes(stream), "1.2.840.10008.1.2.4.70")
        write([one], folder, [f"bomb{number}"])


def absurd_number_of_frames(folder: Path, uid: str) -> None:
    for number, one in enumerate(Series(series_uid=uid).datasets()):
        one.NumberOfFrames = 2**31 - 1
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
        write([one], folder, [f"bomb{number}"])


def element_of_4_gib(folder: Path, uid: str) -> None:
    """A private element whose length claims 4 GiB."""
    (one,) = Series(slices=1, series_uid=uid).datasets()
    path = write([one], folder, ["bomb.dcm"])[0]
    content = path.read_bytes()
    at = content.index(b"\xe0\x7f\x10\x00")  # before the pixel data
    claim = b"\x11\x70\x10\x10OB\x00\x00" + struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(content[:at] + claim + content[at:])


def compressed(one: object, stream: bytes, syntax: str) -> None:
    one.PixelData = encapsulate([stream + b"\x00" * (len(stream) % 2)])  # type: ignore[attr-defined]
    one["PixelData"].VR = "OB"  # type: ignore[index]
    one["PixelData"].is_undefined_length = True  # type: ignore[index]
    one.file_meta.TransferSyntaxUID = syntax  # type: ignore[attr-defined]


BOMBS: dict[Callable[[Path, str], None], str] = {
    nifti_bomb: "volume_too_large",
    nifti_within_the_limit: "truncated_volume",
    deflated_bomb: "unpacks_to_too_much",
    gzip_bomb: "unpacks_to_too_much",
    jpeg2000_bomb: "file_too_large",
    jpeg2000_of_another_size: "wrong_image_size",
    jpeg_of_another_size: "wrong_image_size",
    absurd_number_of_frames: "multiframe",
    element_of_4_gib: "no_pixel_data",
}


def test_bombs_are_set_aside_and_what_lies_beside_them_is_taken(tmp_path: Path):
    write(Series().datasets(), tmp_path / "in" / "good")
    for number, bomb in enumerate(BOMBS):
        folder = tmp_path / "in" / bomb.__name__
        folder.mkdir()
        bomb(folder, f"1.2.9.{number}")
    program = CHILD.format(
        limit=LIMIT_BYTES, tests=str(Path(__file__).parent), folder=str(tmp_path)
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = {(line.split("/")[1], line.split()[0]) for line in done.stdout.splitlines()}
    expected = {(bomb.__name__, reason) for bomb, reason in BOMBS.items()}
    assert told == {("good", "volume"), *expected}


def short_of_memory(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The first slices that are decoded find no memory, `times` times."""
    left = iter(range(times))

    def decode(*arguments: Any) -> Any:
        if next(left, None) is not None:
            raise MemoryError
        return pixels.decode(*arguments)

    monkeypatch.setattr("fvlm_data.ingest.dicom.slice_file.decode", decode)


@pytest.mark.parametrize(
    ("times", "accepted", "reasons"), [(1, 1, {}), (2, 0, {"fault:not_enough_memory": 1})]
)
def test_want_of_memory_is_tried_again_alone_and_settles_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    accepted: int,
    reasons: dict[str, int],
):
    write(Series().datasets(), tmp_path / "in")
    source = {"kind": "images", "path": str(tmp_path / "in"), "name": "hospital"}
    values = {"store": str(tmp_path / "store"), "sources": [source]}
    config = load_config(None, [f"identity.vault={tmp_path / 'vault'}"], values)
    short_of_memory(monkeypatch, times)
    summary = curate(config, ["ingest", "select"])
    assert summary.stages["ingest"].get("accepted", 0) == accepted
    assert summary.set_aside == reasons
    again = curate(config, ["ingest", "select"])
    assert again.stages["ingest"].get("accepted", 0) == 1 - accepted
    assert again.set_aside == {}
