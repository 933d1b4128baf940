"""How much damage within compressed slices is noticed, and how many sound slices are suspected.

`python bench/damaged.py DICOM_FOLDER_OR_NIFTI ... [--damaged N]` re-encodes real series in every
encoding, damages one slice at a time, and reads them as ingest does.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.dicom.pixels import decode
from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.outlier_slices import slices_unlike_neighbours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SYNTAX = "1.2.840.10008.1.2."
RLE = f"{SYNTAX}5"
ENCODINGS: dict[str, tuple[str, Callable[[NDArray[Any]], Any] | None]] = {
    "JPEG lossless": (f"{SYNTAX}4.70", lambda a: imagecodecs.ljpeg_encode(a, bitspersample=16)),
    "JPEG 12 bit": (
        f"{SYNTAX}4.51",
        lambda a: imagecodecs.jpeg8_encode(np.minimum(a, 4095), level=95, bitspersample=12),
    ),
    "JPEG-LS": (f"{SYNTAX}4.80", imagecodecs.jpegls_encode),
    "JPEG 2000": (
        f"{SYNTAX}4.90",
        lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True),
    ),
    "HTJ2K": (f"{SYNTAX}4.201", lambda a: imagecodecs.htj2k_encode(a, reversible=True)),
    "RLE": (RLE, None),
}
WRONG_HU, WRONG_SHARE = 60, 0.01
AROUND = 4
"""Slices on each side that are decoded with a damaged one."""


def stored_values(place: Path) -> list[NDArray[np.uint16]]:
    """Volumes of a DICOM folder or NIfTI file as slices of HU + 1024, axes (k, j, i)."""
    from fvlm_data.ingest.dicom.series import read_series
    from fvlm_data.ingest.discovery.opener import FileLocation
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.sources.nifti_file import load

    if place.is_dir():
        names = sorted(path for path in place.iterdir() if path.is_file())
        files = [SourceFile(one.name, "", "", one.name, FileLocation(one)) for one in names]
        read = read_series(files, "se", b"key", IngestConfig())
        volumes = [volume.image_zyx for volume in read.volumes]
    else:
        loaded = load(FileLocation(place), IngestConfig())
        if isinstance(loaded, Fault):
            raise SystemExit(f"{place}: {loaded.detail}")
        volumes = [np.rint(loaded[0].T)]
    return [(volume.clip(-1024, 3071) + 1024).astype(np.uint16) for volume in volumes]


def encoded(image: NDArray[np.uint16], name: str) -> bytes:
    """One slice (rows, columns) in an encoding."""
    syntax, encode = ENCODINGS[name]
    if encode is not None:
        return bytes(encode(image))
    one = dataset(image.shape, b"", f"{SYNTAX}1")
    one.PixelData = image.tobytes()
    one.compress(syntax, generate_instance_uid=False)
    return bytes(get_frame(one.PixelData, 0, number_of_frames=1))


def dataset(shape: tuple[int, ...], stream: bytes, syntax: str) -> Dataset:
    """A CT slice with a compressed frame."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = syntax
    one.SOPInstanceUID = one.SOPClassUID = "1.2.3"
    one.Rows, one.Columns = shape
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = 16
    one.BitsStored = 12 if syntax.endswith(".51") else 16
    one.HighBit, one.PixelRepresentation = one.BitsStored - 1, 0
    if stream:
        one.PixelData = encapsulate([stream + b"\x00" * (len(stream) % 2)])
    return one


def read(shape: tuple[int, ...], stream: bytes, name: str) -> NDArray[Any] | Fault:
    """A frame as ingest reads it."""
    with quiet_pydicom():
        return decode(dataset(shape, stream, ENCODINGS[name][0]))


def damage(stream: bytes, draw: random.Random) -> bytes:
    """The stream with 32 bytes zeroed, 16 at random, some removed, or a bit flipped."""
    changed = bytearray(stream)
    at = draw.randrange(min(120, len(changed) // 3), len(changed) - 44)
    how = draw.choice(("zero", "random", "removed", "flipped"))
    if how == "zero":
        changed[at : at + 32] = bytes(32)
    elif how == "random":
        changed[at : at + 16] = draw.randbytes(16)
    elif how == "removed":
        del changed[at : at + draw.choice((1, 7, 32))]
    else:
        changed[at] ^= 1 << draw.randrange(8)
    return bytes(changed)


def judged(volume: NDArray[np.uint16], name: str, draw: random.Random, number: int) -> Counter[str]:
    """What becomes of damaged slices of a volume in one encoding."""
    counts: Counter[str] = Counter()
    for _ in range(number):
        place = draw.randrange(len(volume))
        near = slice(max(0, place - AROUND), place + AROUND + 1)
        sound = [read(volume.shape[1:], encoded(image, name), name) for image in volume[near]]
        good = np.stack([image for image in sound if not isinstance(image, Fault)])
        found = read(volume.shape[1:], damage(encoded(volume[place], name), draw), name)
        if isinstance(found, Fault):
            counts["refused by the decoder or the structure"] += 1
            continue
        at = place - near.start
        off = np.abs(found.astype(np.int32) - good[at].astype(np.int32))
        if (off > WRONG_HU).mean() <= WRONG_SHARE:
            counts["harmless"] += 1
            continue
        good[at] = found
        hu = (good.astype(np.int32) - 1024).astype(np.int16)
        seen = at in slices_unlike_neighbours(hu)
        counts["refused by its neighbours" if seen else "not noticed"] += 1
    return counts


def false_alarms(volume: NDArray[np.uint16], name: str) -> tuple[int, int]:
    """Sound slices of a volume that are suspected in one encoding, and their number."""
    images = [read(volume.shape[1:], encoded(image, name), name) for image in volume]
    refused = sum(isinstance(image, Fault) for image in images)
    whole = np.stack([image for image in images if not isinstance(image, Fault)])
    hu = (whole.astype(np.int32) - 1024).astype(np.int16)
    return refused + len(slices_unlike_neighbours(hu)), len(volume)


def main(places: Sequence[Path], number: int) -> None:
    """Print a line an encoding."""
    volumes = [volume for place in places for volume in stored_values(place)]
    columns = (
        *("refused by the decoder or the structure", "refused by its neighbours"),
        *("not noticed", "harmless"),
    )
    print(f"| encoding | {' | '.join(columns)} | sound slices suspected |")
    print(f"|---|{'---|' * (len(columns) + 1)}")
    for name in ENCODINGS:
        draw = random.Random(11)
        counts: Counter[str] = Counter()
        alarms = slices = 0
        for volume in volumes:
            counts += judged(volume, name, draw, number)
            more = false_alarms(volume, name)
            alarms, slices = alarms + more[0], slices + more[1]
        told = " | ".join(str(counts[column]) for column in columns)
        print(f"| {name} | {told} | {alarms} of {slices} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="+", type=Path)
    parser.add_argument("--damaged", type=int, default=24, help="damaged slices a volume")
    given = parser.parse_args()
    main(given.places, given.damaged)
