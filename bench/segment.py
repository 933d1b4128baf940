"""TotalSegmentator in one process against one process a volume, with small random models.

    make install-segmentation
    .venv-segmentation/bin/python bench/segment.py

Prints, all of one run and on the CPU, each figure in CPU seconds of all threads and processes: a
short volume by the library's own function in a process of its own (with nnU-Net's pools, as its
command runs it) and by the backend in one process that goes on, and how many times as many the
backend does; on a volume of real size, what is spent outside the network, as a share of the
network's own; seconds and peak memory by the number of slices. The models are tiny: with real ones
the network takes more and the rest the same. Without the extra it says so and does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "segment"
KIB = 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="total")
    parser.add_argument("--short", type=int, nargs=3, default=[96, 96, 48], help="voxels")
    parser.add_argument("--side", type=int, default=512, help="rows and columns of real size")
    parser.add_argument("--slices", type=int, nargs="+", default=[200, 400, 800, 1200])
    parser.add_argument("--volumes", type=int, default=8, help="short volumes of the backend")
    parser.add_argument("--features", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(json.loads(options.worker))
        return
    if find_spec("totalsegmentator") is None:
        print(
            "bench/segment.py: TotalSegmentator is not installed here (make install-segmentation)"
        )
        return
    with tempfile.TemporaryDirectory(prefix="fvlm_bench_") as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    """All figures, in the order of the docstring."""
    home = folder / "home"
    home.mkdir()
    settings = {"send_usage_stats": False, "statistics_disclaimer_shown": True}
    (home / "config.json").write_text(json.dumps(settings | {"prediction_counter": 0}))
    os.environ |= {"TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(folder / "weights")}
    models(options, folder / "weights")
    short = {"task": options.task, "shape": options.short, "spacing": 1.5}
    sizes(options, short)
    shares(options, short, folder)


def shares(options: argparse.Namespace, short: dict[str, Any], folder: Path) -> None:
    """A short volume by the backend and by the library."""
    ours = backend(short | {"volumes": options.volumes})
    each = ours["later_cpu_s"] / max(1, options.volumes - 1)
    whole = ours["process_cpu_s"] / options.volumes
    print(f"\nshort volume {' x '.join(map(str, options.short))} at 1.5 mm, CPU-s a volume")
    print(f"  backend, each further volume: {each:.2f}")
    print(f"  backend, start of its process spread over {options.volumes}: {whole:.2f}", flush=True)
    alone = library_alone(options, folder)
    print(f"  the library's function, one process a volume: {alone:.2f}")
    print(
        f"  backend against library: {alone / each:.1f}, with its start {alone / whole:.1f} times"
    )


def sizes(options: argparse.Namespace, short: dict[str, Any]) -> None:
    """What a volume of real size takes, by its number of slices."""
    side = options.side
    print(f"{side} x {side} x slices of 0.75 x 0.75 x 1.5 mm, task {options.task}")
    print(
        "| slices | CPU-s | of it network | outside / network | s | peak GB | GB per 100 slices |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    base = backend(short | {"volumes": 1})["peak_gb"]
    for slices in options.slices:
        shape = {"shape": [side, side, slices], "spacing": 0.75, "volumes": 1, "warm": True}
        made = backend(short | shape)
        network, cpu = made["network_cpu_s"], made["first_cpu_s"]
        more = (made["peak_gb"] - base) / slices * 100
        print(
            f"| {slices} | {cpu:.1f} | {network:.1f} | {(cpu - network) / network:.2f} | "
            f"{made['first_s']:.1f} | {made['peak_gb']:.2f} | {more:.3f} |",
            flush=True,
        )


def models(options: argparse.Namespace, weights: Path) -> None:
    """Write the models of the task."""
    sys.path.insert(0, str(TESTS))
    from tiny_models import Size, write_task  # type: ignore[import-not-found]

    write_task(weights, options.task, Size((options.patch,) * 3, tuple(options.features)))


def library_alone(options: argparse.Namespace, folder: Path) -> float:
    """CPU seconds of the library's function for one short volume, its processes included."""
    import nibabel as nib

    image = folder / "ct.nii.gz"
    nib.save(nib.Nifti1Image(phantom(options.short), np.diag([1.5, 1.5, 1.5, 1])), image)
    before = _children()
    program = str(TESTS / "library_alone.py")
    subprocess.run(
        [sys.executable, program, str(image), str(folder), options.task, "--pools"], check=True
    )
    return _children() - before


def backend(told: dict[str, Any]) -> dict[str, float]:
    """What the backend takes for some volumes, in a process of its own."""
    before = _children()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__, "--worker", json.dumps(told)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"process_cpu_s": _children() - before}


def work(told: dict[str, Any]) -> None:
    """Segment volumes in this process and print what they took."""
    from fvlm_data.segment.backend import VolumeImage
    from fvlm_data.segment.config import SegmentConfig
    from fvlm_data.segment.totalsegmentator import load_totalsegmentator

    settings = {"backend": "totalsegmentator", "task": told["task"], "device": "cpu"}
    run = load_totalsegmentator(SegmentConfig(**settings))
    if told.get("warm"):
        run(VolumeImage("v", phantom([40, 40, 40]), np.diag([1.5, 1.5, 1.5, 1])))
    network = _counted_network()
    spacing = told["spacing"]
    volume = VolumeImage("v", phantom(told["shape"]), np.diag([spacing, spacing, 1.5, 1]))
    taken = []
    for _ in range(told["volumes"]):
        cpu, wall = time.process_time(), time.perf_counter()
        run(volume)
        taken.append((time.process_time() - cpu, time.perf_counter() - wall))
    made = {
        "first_cpu_s": taken[0][0],
        "first_s": taken[0][1],
        "later_cpu_s": sum(cpu for cpu, _ in taken[1:]),
        "network_cpu_s": sum(network),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB**2,
    }
    print(json.dumps(made))


def phantom(shape: list[int]) -> np.ndarray[Any, Any]:
    """A cylinder of tissue in air with noise, int16 HU (i, j, k)."""
    i, j = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    slice_hu = np.where(i**2 + j**2 < 0.7, 40, -1000)[:, :, None]
    noise = np.random.default_rng(0).integers(-30, 30, shape, dtype=np.int16)
    noise += slice_hu.astype(np.int16)
    return noise


def _counted_network() -> list[float]:
    """CPU seconds of each run of a network from now on, as they come."""
    from importlib import import_module

    predictor: Any = import_module("totalsegmentator.nnunet").nnUNetPredictor
    inner, taken = predictor.predict_logits_from_preprocessed_data, []

    def counted(self: Any, data: Any) -> Any:
        before = time.process_time()
        made = inner(self, data)
        taken.append(time.process_time() - before)
        return made

    predictor.predict_logits_from_preprocessed_data = counted
    return taken


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
