"""One CT series to a gzipped NIfTI file: our ingest against its peers, as ratios of one run.

    python bench/ingest.py --slices 300 --repeats 5 --encoding native --encoding jpeg2000

Ours is the whole stage after discovery: every check, pixels, tables, vault, files. Discovery is
timed apart. The series repeats the slices of a real one if `--slices-from` names its folder, else
it is made of noise. Times are wall clock of one process; dcm2niix uses its own gzip (-z i), or
pigz on all cores (-z y) where that is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "ingest"))

from encoded import compress  # type: ignore[import-not-found]  # noqa: E402
from series import Series, set_hu, write  # type: ignore[import-not-found]  # noqa: E402

from fvlm_data.ingest.config import IngestConfig, SourceConfig  # noqa: E402
from fvlm_data.ingest.discover import discover  # noqa: E402
from fvlm_data.ingest.stage import ingest_stage  # noqa: E402
from fvlm_data.stage import Context, pending, settle  # noqa: E402
from fvlm_data.store import Store  # noqa: E402
from fvlm_data.vault import Vault  # noqa: E402

Run = Callable[[Path, Path], float]


def make(folder: Path, slices: int, encoding: str, source: Path | None) -> None:
    """Write a series of 512 x 512 slices, `native` or `jpeg2000`."""
    images = list(_images(source))
    series = Series(slices=slices, rows=512, columns=512, step_mm=1.0)
    datasets = series.datasets()
    for number, one in enumerate(datasets):
        set_hu(one, images[number % len(images)])
        if encoding == "jpeg2000":
            compress(one, "JPEG 2000 lossless")
    write(datasets, folder, [f"{number:04d}.dcm" for number in range(slices)])


def _images(source: Path | None) -> Iterator[Any]:
    if source is None:
        draw = np.random.default_rng(1)
        disc = np.hypot(*np.mgrid[-256:256, -256:256]) < 180
        yield np.where(disc, 40, -1000) + draw.normal(0, 15, (512, 512)).astype(int)
        return
    import pydicom

    for path in sorted(source.iterdir()):
        one = pydicom.dcmread(path)
        yield one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)


def ours(folder: Path, work: Path) -> float:
    """Our stage from the inputs of discovery to committed rows and file."""
    Store.create(work / "store")
    context = Context(Store.open(work / "store"), Vault.open(work / "vault"), "bench")
    source = SourceConfig(kind="dicom", path=folder, name="bench")
    discovered = _timed(lambda: discover(context, [source], "token"))
    stage = ingest_stage(IngestConfig(), [source])

    def run() -> None:
        for batch in pending(context, stage).batches:
            settle(context, stage, batch)

    spent = _timed(run)
    volumes = len(list((work / "store" / "volumes").rglob("*.nii.gz")))
    if volumes != 1:
        raise RuntimeError(f"{volumes} volumes made, expected 1")
    DISCOVERY.append(discovered)
    return spent


DISCOVERY: list[float] = []


def _dcm2niix(zipped: str) -> Run:
    def run(folder: Path, work: Path) -> float:
        command = ["dcm2niix", "-z", zipped, "-b", "n", "-f", "out", "-o", str(work), str(folder)]
        return _timed(lambda: subprocess.run(command, capture_output=True, check=True))

    return run


def simpleitk(folder: Path, work: Path) -> float:
    """SimpleITK's series reader and its NIfTI writer."""
    import SimpleITK as sitk  # noqa: N813

    def run() -> None:
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        sitk.WriteImage(sitk.ReadImage(names), str(work / "out.nii.gz"))

    return _timed(run)


def dicom2nifti(folder: Path, work: Path) -> float:
    """The library dicom2nifti without reorientation."""
    import dicom2nifti.convert_dicom as library

    return _timed(
        lambda: library.dicom_series_to_nifti(
            str(folder), str(work / "out.nii.gz"), reorient_nifti=False
        )
    )


def pydicom_loop(folder: Path, work: Path) -> float:
    """What many write themselves: pydicom, sort by position, nibabel; no check at all."""
    import nibabel as nib
    import pydicom

    def run() -> None:
        slices = [pydicom.dcmread(path) for path in folder.iterdir()]
        slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
        hu = [one.pixel_array * one.RescaleSlope + one.RescaleIntercept for one in slices]
        image = nib.Nifti1Image(np.stack(hu).astype(np.int16).T, np.eye(4))
        nib.save(image, work / "out.nii.gz")

    return _timed(run)


RUNS: dict[str, Run] = {
    "dcm2niix, gzip": _dcm2niix("i"),
    "dcm2niix, pigz": _dcm2niix("y"),
    "dcm2niix, no gzip": _dcm2niix("n"),
    "ours": ours,
    "SimpleITK": simpleitk,
    "dicom2nifti": dicom2nifti,
    "pydicom loop": pydicom_loop,
}


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _installed(name: str) -> bool:
    tool = name.partition(",")[0]

    if name.endswith("pigz") and shutil.which("pigz") is None:
        return False
    if tool == "dcm2niix":
        return shutil.which(tool) is not None
    return tool in ("ours", "pydicom loop") or importlib.util.find_spec(tool) is not None


def main() -> None:
    """Print one table an encoding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--encoding", action="append", choices=("native", "jpeg2000"))
    parser.add_argument("--slices-from", type=Path, default=None)
    parser.add_argument("--only", action="append", help="names of runs, default all")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = [n for n in RUNS if _installed(n) and (not options.only or n in options.only)]
    for encoding in options.encoding or ("native", "jpeg2000"):
        with tempfile.TemporaryDirectory() as place:
            make(Path(place) / "in", options.slices, encoding, options.slices_from)
            times: dict[str, list[float]] = {name: [] for name in names}
            for repeat in range(options.repeats):
                for name in names:  # by turns, so that a noisy minute hits all
                    work = Path(place) / f"{name}{repeat}"
                    work.mkdir()
                    times[name].append(RUNS[name](Path(place) / "in", work))
                    shutil.rmtree(work)
        median = {name: statistics.median(found) for name, found in times.items()}
        print(f"\n{encoding}, {options.slices} slices, median of {options.repeats}")
        print("| | s | times dcm2niix with gzip |\n|---|---|---|")
        for name, seconds in median.items():
            print(f"| {name} | {seconds:.2f} | {median['dcm2niix, gzip'] / seconds:.2f} |")
        if DISCOVERY:
            print(f"| discovery before ours | {statistics.median(DISCOVERY):.2f} | |")
            DISCOVERY.clear()


if __name__ == "__main__":
    main()
