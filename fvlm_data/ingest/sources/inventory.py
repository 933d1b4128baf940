"""S3 Inventory: a bucket's own list of its objects, as CSV or Parquet files below a manifest.

The form is that of Amazon's documentation ("Locating your inventory list", "Inventory manifest").
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.parquet as pq

from fvlm_data.errors import InputError, MachineError
from fvlm_data.ingest.sources.objects import SCHEME, Stored, downloaded, objects, parted, whole_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.ingest.config import SourceConfig

MANIFEST = "manifest.json"
NEEDED = ("key", "size", "lastmodifieddate", "etag")
ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Inventory:
    """One inventory: its manifest's key and content, and where its files lie."""

    label: str
    profile: str
    place: str
    key: str
    stamp: str
    manifest: Mapping[str, Any]

    def objects(self, below: tuple[str, str]) -> Iterator[Stored]:
        """The objects below a bucket and prefix, in the order of the inventory's files.

        Raises:
            InputError: it is of another bucket, of another form, or lacks a column.
            MachineError: the server does not answer, or gives other bytes than the manifest names.
        """
        bucket, prefix = below
        base = f"{prefix.rstrip('/')}/" if prefix else ""
        of = str(self.manifest.get("sourceBucket", ""))
        if of != bucket:
            raise InputError(f"{self._said} is of bucket {of or 'no name'}, expected {bucket}")
        form = str(self.manifest.get("fileFormat", "")).upper()
        if form not in READERS:
            expected = " or ".join(READERS)
            raise InputError(f"{self._said} holds files of format {form}, expected {expected}")
        for file in self.manifest.get("files") or ():
            for row in READERS[form](self._content(file), self._columns(form)):
                told = self._told(row)
                if told is not None and told.key.startswith(base):
                    yield told

    @property
    def _said(self) -> str:
        return f"source {self.label}: the inventory"

    def _columns(self, form: str) -> list[str]:
        """Names of the columns of a CSV, which has no head."""
        schema = str(self.manifest.get("fileSchema", ""))
        return [_plain(name) for name in schema.split(",")] if form == "CSV" else []

    def _content(self, file: Mapping[str, Any]) -> bytes:
        with downloaded(f"{self.place}{file['key']}", self.profile) as handle:
            content = handle.read()
        expected = file.get("MD5checksum")
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if expected and found != expected:
            raise MachineError(
                f"{self._said} has a file of another content than its manifest says; run again "
                "once it is written as a whole"
            )
        return content

    def _told(self, row: Mapping[str, Any]) -> Stored | None:
        lacking = [name for name in NEEDED if row.get(name) in (None, "")]
        if _is(row, "islatest", default=True) is False or _is(row, "isdeletemarker", default=False):
            return None  # an older version, or one that says that the object is gone
        if lacking:
            raise InputError(
                f"{self._said} lacks {', '.join(lacking)}, expected Key, Size, LastModifiedDate "
                "and ETag; have it written with these fields"
            )
        when = row["lastmodifieddate"]
        if isinstance(when, str):
            when = dt.datetime.fromisoformat(when.replace("Z", "+00:00"))
        if when.tzinfo is None:
            when = when.replace(tzinfo=dt.UTC)
        tag = str(row["etag"]).strip('"')
        return Stored(str(row["key"]), int(row["size"]), whole_s(when), tag)


def newest_inventory(source: SourceConfig) -> Inventory:
    """The inventory that a source names, or the newest below the prefix that it names.

    Raises:
        InputError: there is none, or its manifest cannot be read.
        PermissionError: it may not be listed.
        MachineError: the server does not answer.
    """
    bucket, key = parted(source.inventory)
    place, said = f"{SCHEME}{bucket}/", f"source {source.label}: the inventory"
    if not key.endswith(MANIFEST):
        listed = objects(source.inventory, source.profile)
        # folders are called by their dates, as 2026-12-01T01-00Z
        keys = [one.key for one in listed if one.key.rpartition("/")[2] == MANIFEST]
        if not keys:
            raise InputError(f"{said} is not there yet: no {MANIFEST} below {source.inventory}")
        key = max(keys)
    try:
        with downloaded(f"{place}{key}", source.profile) as handle:
            content = handle.read()
        manifest = dict(json.loads(content))
    except FileNotFoundError:
        raise InputError(f"{said} is not there: {source.inventory}; check the address") from None
    except (ValueError, TypeError):
        raise InputError(f"{said} cannot be read, expected a {MANIFEST} of S3 Inventory") from None
    files = str(manifest.get("destinationBucket", "")).rpartition(":")[2] or bucket
    stamp = hashlib.sha256(content).hexdigest()
    return Inventory(source.label, source.profile, f"{SCHEME}{files}/", key, stamp, manifest)


def _csv(content: bytes, columns: list[str]) -> Iterator[dict[str, Any]]:
    with gzip.open(io.BytesIO(content), "rt", encoding="utf-8", newline="") as lines:
        for values in csv.reader(lines):
            row: dict[str, Any] = dict(zip(columns, values, strict=False))
            # the only form in which keys are written as within a URL
            yield {**row, "key": unquote_plus(row.get("key", ""))}


def _parquet(content: bytes, columns: list[str]) -> Iterator[dict[str, Any]]:
    file = pq.ParquetFile(pa.BufferReader(content))
    for batch in file.iter_batches(batch_size=ROWS):
        for row in batch.to_pylist():
            yield {_plain(name): value for name, value in row.items()}


READERS = {"CSV": _csv, "PARQUET": _parquet}


def _plain(name: str) -> str:
    """A column's name as CSV (`LastModifiedDate`) and Parquet (`last_modified_date`) have it."""
    return name.strip().replace("_", "").lower()


def _is(row: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = row.get(name)
    return default if value in (None, "") else str(value).lower() == "true"
