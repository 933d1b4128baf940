"""Discovery of many small DICOM files: files a second and peak memory, beside a pydicom loop.

Each figure comes from a process of its own. The peer reads the same headers one after the other
with `pydicom.dcmread(stop_before_pixels=True)` and keeps nothing.

    python bench/discovery.py --files 100000 --workers 2
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

SERIES_FILES = 200
FOLDER_SERIES = 20
DAY_S = 86_400.0
OF_A_STORE = ("discover", "again", "listed", "passed", "plan")
LATER_S = {"listed": 2 * DAY_S, "passed": 3 * DAY_S}
"""Seconds that the clock is ahead: a listing that keeps what it saw, and the one after it."""


def main() -> None:
    """Make the files, then run every way on them in turn."""
    arguments = _arguments()
    if arguments.way:
        print(json.dumps(_run(arguments.way, arguments.folder, arguments.workers)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        for count in sorted({arguments.files // 10, arguments.files}):
            tree = Path(scratch) / str(count)
            _make(tree, count)
            for way in ("walk", "pydicom", *OF_A_STORE):
                rounds = 1 if way in OF_A_STORE else arguments.rounds
                runs = [_measured(way, tree, arguments.workers) for _ in range(rounds)]
                seconds = statistics.median(run["seconds"] for run in runs)
                cpu = statistics.median(run["cpu_seconds"] for run in runs)
                memory = max(run["peak_mb"] for run in runs)
                workers = max(run["peak_worker_mb"] for run in runs)
                print(
                    f"{way:9} {count:8} files {seconds:8.1f} s {count / seconds:9.0f} files/s, "
                    f"{cpu:7.1f} s of CPU, "
                    f"peak memory {memory:5.0f} MB, of a worker {workers:5.0f} MB",
                    flush=True,
                )


def _measured(way: str, tree: Path, workers: int) -> dict[str, float]:
    ended = subprocess.run(
        [sys.executable, __file__, "--way", way, "--folder", str(tree), "--workers", str(workers)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "FVLM_VAULT": str(tree.with_name(f"{tree.name}.vault"))},
    )
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _run(way: str, tree: Path, workers: int) -> dict[str, float]:
    from fvlm_data.identity.vault import Vault
    from fvlm_data.ingest.config import IngestConfig, SourceConfig
    from fvlm_data.ingest.discovery import arriving
    from fvlm_data.ingest.discovery.discover import discover
    from fvlm_data.ingest.discovery.walk import walk
    from fvlm_data.ingest.stage import ingest_stage
    from fvlm_data.isolation.workers import Workers
    from fvlm_data.store.declared import Context
    from fvlm_data.store.planning import pending
    from fvlm_data.store.tables import Store

    source = SourceConfig(kind="dicom", path=tree, name="bench")
    context: Any = None
    if way in OF_A_STORE:
        store = Store.create(tree.with_name(f"{tree.name}.store"))
        context = Context(store, Vault.open(Path(os.environ["FVLM_VAULT"])), "run")
    before = _cpu_seconds(resource.RUSAGE_SELF)
    started = time.perf_counter()
    if way == "walk":
        for _ in walk(source):
            pass
    elif way == "pydicom":
        import pydicom

        for found in walk(source):
            pydicom.dcmread(found.place.path, stop_before_pixels=True)
    elif way == "plan":
        pending(context, ingest_stage(IngestConfig(), [source]))
    else:
        # folders are passed over if nothing had moved in them for a day when they were listed
        now_s = time.time() + LATER_S.get(way, 0.0)
        arriving.clock_s = lambda: now_s
        days = 30.0 if way in LATER_S else 0.0
        with Workers(workers) as processes:
            isolated = replace(context, workers=processes if workers > 1 else None)
            discover(isolated, [source], "token", full_listing_days=days)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": _cpu_seconds(resource.RUSAGE_SELF)
        - before
        + _cpu_seconds(resource.RUSAGE_CHILDREN),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "peak_worker_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


def _cpu_seconds(whose: int) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def _make(tree: Path, count: int) -> None:
    """Files of a CT's header and 16 x 16 pixels, in series of 200, told apart by their UIDs."""
    from io import BytesIO

    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = CTImageStorage
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = "1.2.9.77777777.88888888"
    one.SeriesInstanceUID = one.StudyInstanceUID = "1.2.9.77777777"
    one.PatientID, one.PatientName, one.Modality = "P77777777", "Bench^Mark", "CT"
    one.StudyDate, one.AccessionNumber, one.InstanceNumber = "20240501", "A77777777", 1
    one.ImageType, one.Manufacturer = ["ORIGINAL", "PRIMARY", "AXIAL"], "BENCH"
    one.ImagePositionPatient, one.PixelSpacing = [0, 0, 0], [1, 1]
    one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    one.RescaleSlope, one.RescaleIntercept, one.Rows, one.Columns = 1, -1024, 16, 16
    one.PhotometricInterpretation, one.SamplesPerPixel = "MONOCHROME2", 1
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    one.PixelData = bytes(512)
    buffer = BytesIO()
    one.save_as(buffer, enforce_file_format=True)
    template = buffer.getvalue()
    for number in range(count):
        series, instance = divmod(number, SERIES_FILES)
        folder = tree / f"{series // FOLDER_SERIES:04d}" / f"{series:06d}"
        if instance == 0:
            folder.mkdir(parents=True)
        content = template.replace(b"77777777", b"%08d" % series)
        content = content.replace(b"88888888", b"%08d" % instance)
        (folder / f"{instance:04d}.dcm").write_bytes(content)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--way", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
