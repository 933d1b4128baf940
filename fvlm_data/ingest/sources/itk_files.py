"""MetaImage and NRRD files by SimpleITK: what their headers claim, and their voxels.

SimpleITK takes memory by what a header claims and opens whatever file it names, so the header is
read here first: sizes must be in the file, and detached data lie beside the header.
"""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fvlm_data.ingest.discovery.opener import beside, opened, state_of
from fvlm_data.ingest.volume.geometry import LPS_TO_RAS, Fault, prove_affine
from fvlm_data.ingest.volume.volume_file import DEFLATE_MOST, check_claim, more_than_claimed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.discovery.opener import FileLocation

METAIMAGE_ENDINGS = (".mha", ".mhd")
NRRD_ENDINGS = (".nrrd", ".nhdr")
ITK_ENDINGS = (*METAIMAGE_ENDINGS, *NRRD_ENDINGS)
DETACHED_ENDINGS = (".mhd", ".nhdr")
DATA_ENDINGS = (".raw", ".zraw", ".raw.gz")
"""What the detached data of a header are called."""

HEAD_BYTES = 1 << 16
MILLIMETRE = {"mm", "millimeter", "millimeters", "millimetre", "millimetres"}
MATRICES = ("TransformMatrix", "Rotation", "Orientation")
ORIGINS = {"Offset", "Position", "Origin"}
INTENSITY = (("ElementToIntensityFunctionSlope", "1"), ("ElementToIntensityFunctionOffset", "0"))
UNIT_LENGTH = 1e-3
WITHIN = "LOCAL"
"""MetaImage's name for data that follow in the same file."""

VALUE_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR", "int8", "uint8", "signed char", "uchar"), 1),
    **dict.fromkeys(("int8_t", "uint8_t", "unsigned char"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT", "int16", "uint16", "short", "ushort"), 2),
    **dict.fromkeys(("short int", "signed short", "signed short int", "int16_t", "uint16_t"), 2),
    **dict.fromkeys(("unsigned short", "unsigned short int"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "int32", "uint32", "int", "uint", "MET_FLOAT"), 4),
    **dict.fromkeys(("signed int", "unsigned int", "int32_t", "uint32_t", "float"), 4),
    **dict.fromkeys(("MET_LONG", "MET_ULONG"), 4),  # in MetaIO on every machine
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "int64", "uint64"), 8),
    **dict.fromkeys(("MET_DOUBLE", "double", "int64_t", "uint64_t"), 8),
}
"""Bytes of a value by the names that both formats give to types."""


@dataclass(frozen=True, slots=True)
class ItkHeader:
    """What a header claims; `data_file` is empty where the data follow it in the same file."""

    shape: tuple[int, ...]
    value_bytes: int
    packed: bool
    oriented: bool
    in_mm: bool
    data_file: str
    header_bytes: int
    contradiction: Fault | None = None


def load_itk(
    handle: BinaryIO, place: FileLocation, config: IngestConfig
) -> tuple[NDArray[Any], NDArray[np.float64] | Fault] | Fault:
    """Values (i, j, k) of a MetaImage or NRRD file, and voxel to RAS+ mm or why it does not say.

    `handle` is the open file at `place`.
    """
    ending = ending_of(place)
    header = read_header(handle, ending)
    if isinstance(header, Fault):
        return header
    if header.contradiction:
        return header.contradiction
    data = data_file(place, header)
    if isinstance(data, Fault):
        return data
    state = state_of(data) if data else None
    size = state.size_bytes if state else handle.seek(0, os.SEEK_END) - header.header_bytes
    held = size * DEFLATE_MOST if header.packed else size
    fault = check_claim(header.shape, header.value_bytes, held, config)
    if fault:
        return fault
    more = size - math.prod(header.shape) * header.value_bytes
    if not header.packed and more > 0:
        return more_than_claimed(more)
    try:
        values, affine_ras = _read(handle, place, ending, data)
    except RuntimeError as error:  # its message quotes the path
        if "alloc" in str(error).lower():
            raise MemoryError from None
        return Fault(
            "unreadable_volume",
            "SimpleITK cannot read the file: damaged, truncated or of an unknown encoding; send "
            "it again, or convert it to NIfTI",
        )
    if not header.in_mm:
        return values, Fault(
            "units_not_mm", "the header's unit of length (space units) is not mm, expected mm"
        )
    if not header.oriented:
        return values, Fault(
            "missing_orientation",
            "the header states no directions of the axes or no origin (MetaImage: TransformMatrix, "
            "ElementSpacing and Offset; NRRD: space, space directions and space origin): where the "
            "voxels lie is not known",
        )
    return values, prove_affine(affine_ras, config) or affine_ras


def read_header(handle: BinaryIO, ending: str) -> ItkHeader | Fault:
    """What the header at the start of an open file claims."""
    handle.seek(0)
    head = handle.read(HEAD_BYTES)
    try:
        return _metaimage(head) if ending in METAIMAGE_ENDINGS else _nrrd(head)
    except (KeyError, ValueError, IndexError):
        return Fault(
            "unreadable_header",
            "the header lacks size, type or data, or states them in no known way: damaged, or "
            "another format; send it again, or convert it to NIfTI",
        )


def data_file(place: FileLocation, header: ItkHeader) -> FileLocation | Fault | None:
    """The file beside the header that holds its data; None: they follow in the same file."""
    if not header.data_file:
        return None
    # a name with folders in it could lead anywhere; lists and patterns are one file a slice
    for one in data_beside(place):
        if one.name == header.data_file:
            return one
    return Fault(
        "data_file_missing",
        "the header names a data file that does not lie beside it under its own name, as x.raw "
        "beside x.mhd (in an archive none can); put it there, or convert the volume to NIfTI",
    )


def data_beside(place: FileLocation) -> list[FileLocation]:
    """Files beside a header that may hold its data: they have its name and another ending."""
    if ending_of(place) not in DETACHED_ENDINGS:
        return []
    stem = PurePosixPath(place.name).stem
    return [one for ending in DATA_ENDINGS if (one := beside(place, f"{stem}{ending}"))]


def header_of_data(place: FileLocation) -> bool:
    """Whether a file is the detached data of a header beside it."""
    ending = next((one for one in DATA_ENDINGS if place.name.endswith(one)), "")
    stem = place.name.removesuffix(ending)
    return bool(ending) and any(beside(place, f"{stem}{one}") for one in DETACHED_ENDINGS)


def ending_of(place: FileLocation) -> str:
    """The last ending of a file's name, in lower case."""
    return PurePosixPath(place.name).suffix.lower()


def _read(
    handle: BinaryIO, place: FileLocation, ending: str, data: FileLocation | None
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Values (i, j, k) and affine of a file that may lie in an archive or bucket."""
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO" if ending in METAIMAGE_ENDINGS else "NrrdImageIO")
    with TemporaryDirectory() as folder:
        path = place.path
        if place.member or place.url:  # it reads by name only
            path = Path(folder) / f"volume{ending}"
            _copied(handle, path)
        if place.url and data is not None:
            with opened(data) as voxels:  # under its own name, which the header states
                _copied(voxels, Path(folder) / data.name)
        reader.SetFileName(str(path))
        image = reader.Execute()
    return _values(sitk.GetArrayFromImage(image), image)


def _copied(handle: BinaryIO, path: Path) -> None:
    handle.seek(0)
    with path.open("wb") as target:
        shutil.copyfileobj(handle, target)


def _values(array: NDArray[Any], image: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    dimensions = image.GetDimension()
    affine = np.eye(4)
    if dimensions == 3:
        directions = np.array(image.GetDirection()).reshape(3, 3)
        # columns of the direction matrix are the axes i, j, k in LPS
        affine[:3, :3] = directions * np.array(image.GetSpacing())
        affine[:3, 3] = image.GetOrigin()
    return array.T, LPS_TO_RAS @ affine


def _metaimage(head: bytes) -> ItkHeader:
    stated: dict[str, str] = {}
    at = 0
    while "ElementDataFile" not in stated:
        end = head.index(b"\n", at)
        key, equals, value = head[at:end].decode("ascii").partition("=")
        if not equals:
            raise ValueError
        stated[key.strip()] = value.strip()
        at = end + 1
    named = stated["ElementDataFile"]
    channels = int(stated.get("ElementNumberOfChannels", "1"))
    matrix = next((stated[name] for name in MATRICES if name in stated), "")
    origin = not stated.keys().isdisjoint(ORIGINS)
    return ItkHeader(
        shape=_shape(stated["DimSize"], channels),
        value_bytes=VALUE_BYTES[stated["ElementType"]],
        packed=stated.get("CompressedData", "False").lower().startswith("t"),
        oriented=bool(matrix) and origin and "ElementSpacing" in stated,
        in_mm=True,
        data_file="" if named.upper() == WITHIN else named,
        header_bytes=at,
        contradiction=_contradiction(stated, matrix),
    )


def _contradiction(stated: Mapping[str, str], matrix: str) -> Fault | None:
    """What a MetaImage header states beside spacing and values, and SimpleITK reads over."""
    lengths = np.linalg.norm(np.array(matrix.split(), float).reshape(-1, 3), axis=1)
    if lengths.size and np.abs(lengths - 1).max() > UNIT_LENGTH:
        return Fault(
            "not_orthonormal",
            f"rows of TransformMatrix have lengths up to {lengths.max():g}, expected 1: the header "
            "states the size of voxels twice; write the file anew",
        )
    if min(map(float, stated.get("ElementSpacing", "1").split())) <= 0:
        return Fault(
            "implausible_spacing",
            "ElementSpacing holds a value of 0 or below, expected mm above 0; write the file anew",
        )
    slope, offset = (float(stated.get(name, unset)) for name, unset in INTENSITY)
    if (slope, offset) != (1.0, 0.0):
        return Fault(
            "ambiguous_rescale",
            f"the header states an intensity function with slope {slope:g} and offset {offset:g}, "
            "which readers do not apply; write the file anew in HU",
        )
    return None


def _nrrd(head: bytes) -> ItkHeader:
    if not head.startswith(b"NRRD"):
        raise ValueError
    stated: dict[str, str] = {}
    at = head.index(b"\n") + 1
    # a blank line ends the header; a detached one may end with its file
    while at < len(head):
        end = head.find(b"\n", at)
        end = len(head) if end < 0 else end
        line = head[at:end].decode("ascii", "replace").strip()
        at = end + 1
        if not line:
            break
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            stated[key.strip().lower()] = value.strip()
    encoding = stated["encoding"].lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise ValueError
    return ItkHeader(
        shape=_shape(stated["sizes"], 1),
        value_bytes=VALUE_BYTES[stated["type"]],
        packed=encoding != "raw",
        oriented=_nrrd_placed(stated),
        in_mm=set(stated.get("space units", "mm").replace('"', " ").lower().split()) <= MILLIMETRE,
        data_file=stated.get("data file", stated.get("datafile", "")),
        header_bytes=at,
    )


def _nrrd_placed(stated: Mapping[str, str]) -> bool:
    spaces = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior")
    named = stated.get("space", "").lower() in (*spaces, "lps", "ras", "las")
    if not {"space directions", "space origin"} <= stated.keys():
        return False
    return named and "none" not in stated["space directions"]


def _shape(text: str, channels: int) -> tuple[int, ...]:
    shape = tuple(int(length) for length in text.split())
    if channels != 1 or not shape or not math.isfinite(math.prod(shape)):
        raise ValueError
    return shape
