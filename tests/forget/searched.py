"""What of a patient may be anywhere in a store or vault, and the search of every byte for it."""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pydicom
import zarr

from fvlm_data.identity.vault import Vault
from fvlm_data.store.tables import Store


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder: its name, its bytes, and what is compressed in them."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        yield f"name of {name}", name.encode()
        if path.name == "zarr.json" and json.loads(path.read_bytes())["node_type"] == "array":
            yield f"array {name}", zarr.open_array(path.parent, mode="r")[...].tobytes()
        if not path.is_file():
            continue
        raw = path.read_bytes()
        yield name, raw
        if path.suffix == ".gz":
            yield f"decompressed {name}", zlib.decompress(raw, wbits=31)
        if path.suffix == ".parquet":
            yield f"rows of {name}", repr(pq.read_table(path).to_pylist()).encode()
        if path.name == "vault.sqlite":
            yield from _decrypted(path)


def _decrypted(path: Path) -> Iterator[tuple[str, bytes]]:
    vault = Vault.open(path.parent)
    with sqlite3.connect(path) as connection:
        for table in ("files", "patients", "reports", "notes"):
            for name, value in connection.execute(f"SELECT id, value FROM {table}"):
                yield f"{table} {name} of the vault", vault._decrypt(value).encode()


def hits(folders: Iterable[Path], wanted: Iterable[str]) -> list[str]:
    """Where one of the words stands, whole or in part of a longer one."""
    forms = [(one, one.encode()) for one in wanted]
    return [
        f"{one} in {name}"
        for folder in folders
        for name, content in contents(folder)
        for one, form in forms
        if form in content
    ]


def originals(folder: Path) -> set[str]:
    """Names and ids that the headers of a patient's files tell, and UIDs."""
    found: set[str] = set()
    for file in sorted(folder.rglob("*.dcm"))[:1] + sorted(folder.rglob("*/*.dcm")):
        header = pydicom.dcmread(file, stop_before_pixels=True)
        for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber"):
            found.add(str(getattr(header, keyword, "")))
        found |= {part for part in re.split(r"[\^ ]", str(header.PatientName)) if len(part) > 3}
    return found - {""}


def ids_of(store: Store, studies: Iterable[str], *, patient: str = "") -> set[str]:
    """Every id that a row of the studies names, or of their series, volumes, reports, samples.

    With a `patient`, who has several studies, the files that are set aside are the patient's too.
    """
    wanted = {*studies, patient} - {""}
    rows = {name: store.read(name).to_pylist() for name in ("candidates", "samples", "inputs")}
    series = {row["series_id"] for row in rows["candidates"] if row["study_id"] in wanted}
    mine = wanted | series
    mine |= {row["volume_id"] for row in rows["candidates"] if row["study_id"] in wanted}
    mine |= {row["sample_id"] for row in rows["samples"] if row["study_id"] in wanted}
    joined = store.read("study_reports").to_pylist()
    reports = {row["report_id"] for row in joined if row["study_id"] in wanted}
    mine |= reports
    mine |= {row["token"] for row in rows["inputs"] if row["item"] in mine}
    if patient and len([*studies]) > 1:
        mine |= {row["item"] for row in store.read("quarantine").to_pylist()}
    links = store.read("links").to_pylist()
    owners = wanted | series
    mine |= {row["value_hash"] for row in links if row["owner_id"] in owners}
    return mine


def bytes_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
