"""CT series to gzipped NIfTI files: our ingest against its peers, as ratios of one run.

    python bench/ingest.py --slices 300 --repeats 5 --encoding native --encoding jpeg2000
    python bench/ingest.py --tree 200 --repeats 3  # 2 GB of temporary files

One series: ours is the whole stage after discovery (every check, pixels, tables, vault, files), in
one process; discovery is timed apart. `ours` decodes with a thread a core, `ours, 1 thread` with
one. The series repeats the slices of a real one if `--slices-from` names its folder, else it is
made of noise. dcm2niix uses its own gzip (-z i), or pigz on all cores (-z y) where installed.

`--tree`: many short series, each in a folder of its own, all cores: ours is the whole command,
discovery and start of processes included; the peers get as many processes, one series at a time
each. `bytes` compares the files made with those of dcm2niix with gzip. Times are wall clock.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "ingest"))

from encoded import compress  # type: ignore[import-not-found]  # noqa: E402
from series import Series, set_hu, write  # type: ignore[import-not-found]  # noqa: E402

from fvlm_data.identity.ids import IdentityConfig  # noqa: E402
from fvlm_data.identity.vault import Vault  # noqa: E402
from fvlm_data.ingest.config import IngestConfig, SourceConfig  # noqa: E402
from fvlm_data.ingest.discovery.discover import discover  # noqa: E402
from fvlm_data.ingest.stage import ingest_stage  # noqa: E402
from fvlm_data.run.config import Config, ExecutionConfig  # noqa: E402
from fvlm_data.run.curate import curate  # noqa: E402
from fvlm_data.store.commits import settle  # noqa: E402
from fvlm_data.store.declared import Context  # noqa: E402
from fvlm_data.store.planning import pending  # noqa: E402
from fvlm_data.store.tables import Store  # noqa: E402

Run = Callable[[Path, Path], float]


CORES = len(os.sched_getaffinity(0))


def make(folder: Path, shape: Series, encoding: str, images: Sequence[Any]) -> None:
    """Write a series, `native` or `jpeg2000`, whose slices repeat `images` but for a corner voxel.

    Slices that are equal would be refused: a scan has none.
    """
    datasets = shape.datasets()
    for number, one in enumerate(datasets):
        image = np.array(images[number % len(images)])
        image[0, 0] += number // len(images)
        set_hu(one, image)
        if encoding == "jpeg2000":
            compress(one, "JPEG 2000 lossless")
    write(datasets, folder, [f"{number:04d}.dcm" for number in range(shape.slices)])


def _images(source: Path | None) -> Iterator[Any]:
    if source is None:
        draw = np.random.default_rng(1)
        disc = np.hypot(*np.mgrid[-256:256, -256:256]) < 180
        for _ in range(TREE_SLICES):
            yield np.where(disc, 40, -1000) + draw.normal(0, 15, (512, 512)).astype(int)
        return
    import pydicom

    for path in sorted(source.iterdir()):
        one = pydicom.dcmread(path)
        yield one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)


def ours(folder: Path, work: Path, threads: int = CORES) -> float:
    """Our stage from the inputs of discovery to committed rows and file."""
    Store.create(work / "store")
    context = Context(Store.open(work / "store"), Vault.open(work / "vault"), "bench")
    source = SourceConfig(kind="dicom", path=folder, name="bench")
    discovered = _timed(lambda: discover(context, [source], "token"))
    stage = ingest_stage(IngestConfig(), [source], threads)

    def run() -> None:
        for batch in pending(context, stage).batches:
            settle(context, stage, batch)

    spent = _timed(run)
    DISCOVERY.append(discovered)
    return spent


def our_tree(folder: Path, work: Path) -> float:
    """Our command over a whole tree, with a process a core."""
    config = Config(
        store=str(work / "store"),
        sources=(SourceConfig(kind="dicom", path=folder, name="bench"),),
        identity=IdentityConfig(vault=work / "vault"),
        execution=ExecutionConfig(workers=CORES),
    )
    return _timed(lambda: curate(config, ("ingest",)))


DISCOVERY: list[float] = []


def dcm2niix(folder: Path, work: Path, zipped: str) -> float:
    """The program dcm2niix; `zipped` is i (its own gzip), y (pigz) or n (none)."""
    command = ["dcm2niix", "-z", zipped, "-b", "n", "-f", "out", "-o", str(work), str(folder)]
    return _timed(lambda: subprocess.run(command, capture_output=True, check=True))


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
    "dcm2niix, gzip": partial(dcm2niix, zipped="i"),
    "dcm2niix, pigz": partial(dcm2niix, zipped="y"),
    "dcm2niix, no gzip": partial(dcm2niix, zipped="n"),
    "ours": ours,
    "ours, 1 thread": partial(ours, threads=1),
    "SimpleITK": simpleitk,
    "dicom2nifti": dicom2nifti,
    "pydicom loop": pydicom_loop,
}
NOT_IN_TREE = ("dcm2niix, pigz", "ours, 1 thread")


def over_tree(run: Run, folder: Path, work: Path) -> float:
    """A peer over a tree: one series after the other in as many processes as there are cores."""
    places = [(one, work / one.name) for one in sorted(folder.iterdir())]
    for _, out in places:
        out.mkdir()

    def all_of_them() -> None:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(CORES, mp_context=spawn) as pool:
            list(pool.map(run, *zip(*places, strict=True)))

    return _timed(all_of_them)


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


def compare(runs: dict[str, Run], folder: Path, volumes: int, repeats: int) -> None:
    """Print one table; every run must make `volumes` files."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    sizes: dict[str, int] = {}
    for _ in range(repeats):
        for name, run in runs.items():  # by turns, so that a noisy minute hits all
            with tempfile.TemporaryDirectory() as work:
                times[name].append(run(folder, Path(work)))
                made = [path.stat().st_size for path in Path(work).rglob("*.nii*")]
            if len(made) != volumes:
                raise RuntimeError(f"{name}: {len(made)} volumes made, expected {volumes}")
            sizes[name] = sum(made)
    median = {name: statistics.median(found) for name, found in times.items()}
    first = next(iter(runs))
    print(f"| | s | times {first} | bytes |\n|---|---|---|---|")
    for name, seconds in median.items():
        ratio, size = median[first] / seconds, sizes[name] / sizes[first]
        print(f"| {name} | {seconds:.2f} | {ratio:.2f} | {size:.2f} |", flush=True)
    if DISCOVERY:
        print(f"| discovery before ours | {statistics.median(DISCOVERY):.2f} | | |")
        DISCOVERY.clear()


def series(options: argparse.Namespace, names: Sequence[str], encoding: str, place: Path) -> None:
    """One large series."""
    shape = Series(slices=options.slices, rows=512, columns=512, step_mm=1.0)
    make(place, shape, encoding, list(_images(options.slices_from)))
    print(f"\n{encoding}, {options.slices} slices of 512 x 512, median of {options.repeats}\n")
    compare({name: RUNS[name] for name in names}, place, 1, options.repeats)


def tree(options: argparse.Namespace, names: Sequence[str], encoding: str, place: Path) -> None:
    """Many short series of a patient each."""
    images = list(_images(options.slices_from))
    for number in range(options.tree):
        shape = Series(
            slices=TREE_SLICES,
            rows=512,
            columns=512,
            series_uid=f"1.2.3.4.{number + 1}",
            study_uid=f"1.2.3.{number + 1}",
            patient_id=f"PAT-{number}",
        )
        make(place / f"{number:04d}", shape, encoding, images[:TREE_SLICES])
    print(
        f"\n{encoding}, {options.tree} series of {TREE_SLICES} slices of 512 x 512, {CORES} "
        f"processes, median of {options.repeats}\n"
    )
    runs: dict[str, Run] = {
        name: our_tree if name == "ours" else partial(over_tree, RUNS[name])
        for name in names
        if name not in NOT_IN_TREE
    }
    compare(runs, place, options.tree, options.repeats)


TREE_SLICES = 20


def main() -> None:
    """Print one table an encoding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--tree", type=int, default=0, help="series of a tree, instead of one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--encoding", action="append", choices=("native", "jpeg2000"))
    parser.add_argument("--slices-from", type=Path, default=None)
    parser.add_argument("--only", action="append", help="names of runs, default all")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = [n for n in RUNS if _installed(n) and (not options.only or n in options.only)]
    for encoding in options.encoding or ("native", "jpeg2000"):
        with tempfile.TemporaryDirectory() as place:
            (tree if options.tree else series)(options, names, encoding, Path(place) / "in")


if __name__ == "__main__":
    main()
