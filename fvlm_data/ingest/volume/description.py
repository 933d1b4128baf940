"""The description that comes with a volume file: a row of a mapping CSV, or a sidecar."""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from fvlm_data.column_names import shown_columns
from fvlm_data.errors import InputError
from fvlm_data.ingest.dicom import header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydicom.dataset import Dataset

ENDINGS = (
    *(".nii.gz", ".nii", ".npz", ".json"),
    *(".mha", ".mhd", ".nrrd", ".nhdr", ".hdr", ".img"),
    *(".raw", ".zraw", ".raw.gz"),
)
KEYWORDS = (
    *("StudyInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "RescaleType"),
    *("BodyPartExamined", "ContrastBolusAgent", "ConvolutionKernel", "Manufacturer"),
    *("PatientAge", "PatientSex", "AcquisitionDateTime"),
    *header.IDENTITY_TEXTS,
    *header.IDENTITY_NAMES,
    *header.IDENTITY_DATES,
)
"""DICOM keywords that are read from columns and sidecars; everything else is left there."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a mapping CSV: that of the volume's name, and others that it must have.

    With `filled` none of them may be blank. `also` are optional columns.
    """

    volume: str
    needed: tuple[str, ...]
    filled: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """Values by column or DICOM keyword, as text; blank ones are left out."""

    values: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """The value of a column, or an empty text."""
        return next((value for column, value in self.values if column == name), "")

    def key(self, key: bytes) -> str:
        """What it adds to an item's key: a keyed hash, since a plain one could be guessed."""
        text = json.dumps(("description", *self.values))
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def dataset(self) -> Dataset:
        """The values of KEYWORDS as a data set, so that they pass the checks of a header."""
        from pydicom.config import disable_value_validation
        from pydicom.dataset import Dataset

        dataset = Dataset()
        with disable_value_validation():
            for name, value in self.values:
                if name in KEYWORDS:
                    # the backslash separates values of one element (DICOM PS3.5 6.4)
                    setattr(dataset, name, value.split("\\") if "\\" in value else value)
        return dataset

    def over(self, other: Description) -> Description:
        """Both together; where both say something, this one wins."""
        return Description(tuple(sorted({**dict(other.values), **dict(self.values)}.items())))


def stem(name: str) -> str:
    """A file name or relative path without the ending of a volume or of what is read with it."""
    ending = next((end for end in ENDINGS if name.lower().endswith(end)), "")
    return name[: len(name) - len(ending)]


def load(path: Path, columns: Columns) -> Mapping[str, Description]:
    """Descriptions by volume (file name or relative path, without ending).

    Raises:
        InputError: the file cannot be read, lacks a column, has a blank value where none may
            be, or names a volume twice with different values.
    """
    try:
        state = path.expanduser().stat()
    except OSError as error:
        raise unreadable(path, error) from error
    # size and time are part of the cache's key: an edited file is read again
    return _loaded(path, columns, state.st_size, state.st_mtime_ns)


def described(descriptions: Mapping[str, Description], relative: str) -> Description | None:
    """The description of a file, by its relative path, else by its name."""
    path = stem(relative)
    return descriptions.get(path) or descriptions.get(PurePosixPath(path).name)


def from_json(content: bytes) -> Description | None:
    """The description in a sidecar, whose keys are DICOM keywords; None: it is no sidecar."""
    try:
        loaded = json.loads(content)
    except ValueError:
        return None
    if not isinstance(loaded, dict):
        return None
    values = {name: _text(loaded[name]) for name in KEYWORDS if name in loaded}
    return Description(tuple(sorted((name, value) for name, value in values.items() if value)))


@lru_cache(maxsize=4)
def _loaded(path: Path, columns: Columns, _size: int, _modified_ns: int) -> dict[str, Description]:
    try:
        # utf-8-sig: Excel puts a byte-order mark in front, which would be part of the first
        # column's name
        with path.expanduser().open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            found = tuple(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, error) from error
    wanted = (columns.volume, *columns.needed)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(
            f"mapping {path}: column {', '.join(missing)} is missing, expected "
            f"{', '.join(wanted)}; found {shown_columns(found, wanted)}"
        )
    kept = [name for name in found if name in {*columns.needed, *columns.also, *KEYWORDS}]
    descriptions: dict[str, Description] = {}
    for number, row in enumerate(rows, start=2):
        volume = (row[columns.volume] or "").strip()
        values = tuple((name, (row[name] or "").strip()) for name in sorted(kept))
        if not volume or (columns.filled and not all(row[name] for name in columns.needed)):
            raise InputError(f"mapping {path}: line {number} has a blank value, expected none")
        description = Description(tuple(pair for pair in values if pair[1]))
        if descriptions.setdefault(stem(volume), description) != description:
            raise InputError(
                f"mapping {path}: line {number} names a volume again with other values"
            )
    return descriptions


def unreadable(path: Path, error: Exception) -> InputError:
    """The error for a mapping file that `error` made unreadable."""
    return InputError(
        f"mapping {path}: cannot be read ({type(error).__name__}); expected a CSV file in UTF-8"
    )


def _text(value: Any) -> str:
    """A JSON value as the text of a DICOM element."""
    values = value if isinstance(value, list) else [value]
    texts = (str(one).strip() for one in values if isinstance(one, str | int | float))
    return "\\".join(text for text in texts if text)
