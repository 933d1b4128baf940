"""MetaImage (.mha) and NRRD (.nrrd, .seg.nrrd) files that hold their own voxels.

Written to the formats' public descriptions (https://teem.sourceforge.net/nrrd/format.html,
https://itk.org/Wiki/MetaIO/Documentation; Slicer's segments:
https://apidocs.slicer.org, vtkMRMLSegmentationStorageNode). Files that name another file for their
voxels are refused: what a mask holds must be the bytes that were found.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.nifti import DEFLATE_RATIO, NiftiError

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = np.ndarray[Any, Any]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
META_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
NRRD_TYPES = {
    "signed char": "i1", "int8": "i1", "int8_t": "i1", "uchar": "u1", "unsigned char": "u1",
    "uint8": "u1", "uint8_t": "u1", "short": "i2", "short int": "i2", "signed short": "i2",
    "int16": "i2", "int16_t": "i2", "ushort": "u2", "unsigned short": "u2", "uint16": "u2",
    "uint16_t": "u2", "int": "i4", "int32": "i4", "int32_t": "i4", "uint": "u4",
    "unsigned int": "u4", "uint32": "u4", "uint32_t": "u4", "float": "f4", "double": "f8",
}  # fmt: skip
TO_RAS = {
    "left-posterior-superior": LPS_TO_RAS, "lps": LPS_TO_RAS,
    "right-anterior-superior": np.eye(3), "ras": np.eye(3),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0]), "las": np.diag([-1.0, 1.0, 1.0]),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ItkImage:
    """`stored` (layers, a, b, c), `affine_ras`, and other fields of the header, as written."""

    stored: Array
    affine_ras: Array
    fields: Mapping[str, str]


def read_mha(content: bytes) -> ItkImage:
    """Decode a MetaImage with local data.

    Raises:
        NiftiError: it is damaged, not of three axes, or keeps its voxels elsewhere.
    """
    fields, at = {}, 0
    while "ElementDataFile" not in fields:
        end = content.find(b"\n", at)
        if end < 0:
            raise NiftiError("has no MetaImage header with ElementDataFile")
        key, _, value = content[at:end].decode("latin-1").partition("=")
        fields[key.strip()] = value.strip()
        at = end + 1
    if fields["ElementDataFile"] != "LOCAL":
        raise NiftiError("keeps its voxels in another file; write it as one .mha file")
    shape = _numbers(fields.get("DimSize", ""), int)
    code = META_TYPES.get(fields.get("ElementType", ""))
    if len(shape) != 3 or code is None or fields.get("ElementNumberOfChannels", "1") != "1":
        raise NiftiError("is no MetaImage of three axes and one channel")
    big = "true" in (
        fields.get("BinaryDataByteOrderMSB", "").lower(),
        fields.get("ElementByteOrderMSB", "").lower(),
    )
    packed = fields.get("CompressedData", "false").lower() == "true"
    data = _voxels(content[at:], shape, (">" if big else "<") + code, "zlib" if packed else "raw")
    # the format's own defaults (axes of the patient, 1 mm, origin) would place a mask wrongly
    spacing = _numbers(fields.get("ElementSpacing", ""), float)
    origin = _numbers(_one_of(fields, "Offset", "Position", "Origin"), float)
    matrix = _numbers(_one_of(fields, "TransformMatrix", "Rotation", "Orientation"), float)
    if len(spacing) != 3 or len(origin) != 3 or len(matrix) != 9:
        raise NiftiError("states no spacing, origin and directions of three axes")
    # columns of direction are written one after the other
    columns = np.array(matrix).reshape(3, 3).T * spacing
    return ItkImage(data[None], _affine(LPS_TO_RAS @ columns, LPS_TO_RAS @ origin), fields)


def read_nrrd(content: bytes) -> ItkImage:
    """Decode an NRRD with attached data; a first axis of kind list holds layers.

    Raises:
        NiftiError: it is damaged, has no place in the patient, or keeps its voxels elsewhere.
    """
    head, gap, body = content.partition(b"\n\n")
    if b"\r\n\r\n" in content[: len(head) + 2]:
        head, gap, body = content.partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "replace").splitlines()
    if not gap or not lines or not lines[0].startswith("NRRD000"):
        raise NiftiError("has no NRRD header")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        found = re.match(r"([^:#]+?)\s*:=?\s*(.*)", line)
        if found:
            fields[found[1].strip()] = found[2].strip()
    if "data file" in fields or "datafile" in fields:
        raise NiftiError("keeps its voxels in another file; write it as one .nrrd file")
    sizes = _numbers(fields.get("sizes", ""), int)
    code = NRRD_TYPES.get(fields.get("type", "").lower())
    turn = TO_RAS.get(fields.get("space", "").lower())
    directions = [
        _vector(one) for one in re.findall(r"none|\([^)]*\)", fields.get("space directions", ""))
    ]
    axes = [place for place, one in enumerate(directions) if one is not None]
    origin = _vector(fields.get("space origin", "none"))
    if code is None or turn is None or origin is None or len(axes) != 3 or len(sizes) not in (3, 4):
        raise NiftiError("is no NRRD of three axes placed in the patient")
    order = ">" if fields.get("endian", "little").lower() == "big" else "<"
    data = _voxels(body, sizes, order + code, fields.get("encoding", "raw").lower())
    if len(sizes) == 4:
        data = np.moveaxis(data, next(a for a in range(4) if a not in axes), 0)
    else:
        data = data[None]
    columns = np.stack([np.array(directions[axis]) for axis in axes], axis=1)
    return ItkImage(data, _affine(turn @ columns, turn @ np.array(origin)), fields)


def segments_of(fields: Mapping[str, str]) -> list[tuple[tuple[str, ...], int, int]]:
    """Names, label value and layer of each of Slicer's segments; the term's words come second.

    Tags hold `TerminologyEntry:list~category~type~modifier~...`, each of `scheme^code^meaning`.
    """
    found = []
    for number in range(len(fields)):
        name = fields.get(f"Segment{number}_Name")
        if name is None:
            break
        names = [name]
        entry = re.search(r"TerminologyEntry:([^|]*)", fields.get(f"Segment{number}_Tags", ""))
        if entry:
            parts = [part.split("^")[-1] for part in entry[1].split("~")]
            meaning = parts[2] if len(parts) > 2 else ""
            modifier = parts[3] if len(parts) > 3 else ""
            names += [f"{meaning} {modifier}".strip(), meaning]
        value = int(fields.get(f"Segment{number}_LabelValue", number + 1))
        layer = int(fields.get(f"Segment{number}_Layer", 0))
        found.append((tuple(one for one in names if one), value, layer))
    return found


def _voxels(body: bytes, shape: list[int], dtype: str, encoding: str) -> Array:
    kind = np.dtype(dtype)
    voxels = 1
    for size in shape:
        voxels *= size
    size = voxels * kind.itemsize
    packed = encoding in ("gzip", "gz", "zlib")
    if min(shape) <= 0 or size > len(body) * (DEFLATE_RATIO if packed else 1):
        raise NiftiError(f"claims {size:,} bytes of voxels and holds {len(body):,} bytes")
    if packed:
        try:
            unzip = zlib.decompressobj(wbits=15 if encoding == "zlib" else 31)
            body = unzip.decompress(body, size)
            if len(body) == size and not unzip.eof:
                unzip.decompress(unzip.unconsumed_tail, 1)  # the checksum follows
        except zlib.error as error:
            raise NiftiError("cannot be unzipped") from error
        if len(body) < size or not unzip.eof:
            raise NiftiError("is cut off")
    elif encoding != "raw":
        raise NiftiError(f"is written as {encoding}, expected raw or gzip")
    return np.frombuffer(body, kind, voxels).reshape(shape, order="F")


def _one_of(fields: Mapping[str, str], *names: str) -> str:
    return next((fields[name] for name in names if name in fields), "")


def _affine(columns: Array, origin: Array) -> Array:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = columns, origin
    return affine


def _numbers(text: str, kind: Any) -> list[Any]:
    try:
        return [kind(part) for part in text.split()]
    except ValueError:
        return []


def _vector(text: str) -> list[float] | None:
    numbers = _numbers(text.strip("() ").replace(",", " "), float)
    return numbers if len(numbers) == 3 else None
