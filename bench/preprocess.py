"""From a volume and its mask to a stored sample: our pass beside the public recipe.

The public recipe is: merge classes by SimpleITK, MONAI load, resize of the whole volume, save,
load, scale, crop to the anatomies' box, pad, save; every step through .nii.gz. Each way runs in a
process of its own on one core; imports do not count as time, but count as memory. The volume is a
real series, mirrored along z to its size.

    python bench/preprocess.py --series SERIES_FOLDER --mask MASK.nii.gz
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

SPACING_MM = (0.7, 0.7, 1.0)
MARGINS = (5, 20, 20)
WAYS = ("public", "int16", "uint8", "antialias")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_NUM_THREADS")
ITK_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"


def main() -> None:
    """Make the volume, then run every way in turn and print the table."""
    arguments = _arguments()
    if arguments.way:
        print(json.dumps(_run(arguments.way, arguments.folder)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder = Path(scratch)
        shape = _make(arguments, folder)
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(arguments.rounds):
            for way in WAYS:
                runs[way].append(_measured(way, folder))
    print(f"{' x '.join(map(str, shape))} at {SPACING_MM} mm to 1 x 1 x 3 mm, one core")
    print(
        f"{'way':<12}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'CPU x':>8}{'wall x':>8}{'memory':>8}"
    )
    first = {
        key: statistics.median(run[key] for run in runs["public"]) for key in runs["public"][0]
    }
    for way in WAYS:
        mine = {key: statistics.median(run[key] for run in runs[way]) for key in first}
        print(
            f"{way:<12}{mine['cpu_s']:>8.2f}{mine['wall_s']:>8.2f}{mine['peak_mb']:>9.0f}"
            f"{first['cpu_s'] / mine['cpu_s']:>8.1f}{first['wall_s'] / mine['wall_s']:>8.1f}"
            f"{mine['peak_mb'] / first['peak_mb']:>8.2f}   {_details(mine)}"
        )


def _details(mine: dict[str, float]) -> str:
    parts = {"without writing": "prepare_s", "noise in the liver, HU": "liver_sd"}
    return ", ".join(f"{name} {mine[key]:.2f}" for name, key in parts.items() if mine[key])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--series", type=Path, help="folder of a DICOM CT series")
    parser.add_argument("--mask", type=Path, help="its label map")
    parser.add_argument("--classes", default="totalsegmentator_v2")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where to work; default: temp")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _make(arguments: argparse.Namespace, folder: Path) -> tuple[int, ...]:
    """Write volume and label map of classes as the store has them; returns the shape (i, j, k)."""
    import real_ct

    from fvlm_data.segment.nifti import label_map_bytes
    from fvlm_data.shards import ShardConfig

    anatomies = ShardConfig().anatomies
    image, label, _ = real_ct.load(arguments, anatomies)
    affine = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    for name, array in (("image", image), ("label", label)):
        whole = real_ct.continued(array, arguments.slices)
        (folder / f"{name}.nii.gz").write_bytes(label_map_bytes(whole, affine))
    return whole.shape


def _measured(way: str, folder: Path) -> dict[str, float]:
    environment = os.environ | dict.fromkeys((*THREADS, ITK_THREADS), "1")
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _run(way: str, folder: Path) -> dict[str, float]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    warnings.filterwarnings("ignore", module=r"(monai|numpy|nibabel|torch)\.")
    with tempfile.TemporaryDirectory(dir=folder) as out:
        found = _public(folder, Path(out)) if way == "public" else _ours(way, folder, Path(out))
    return found | {"peak_mb": _peak_mb()}


def _peak_mb() -> float:
    # not ru_maxrss, which counts what the parent had held when it started this process
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _public(folder: Path, out: Path) -> dict[str, float]:
    import SimpleITK
    import torch
    from monai import transforms as mt

    from fvlm_data.shards import ShardConfig

    torch.set_num_threads(1)
    keys = ["image", "label"]
    started = time.perf_counter(), time.process_time()
    mask = SimpleITK.ReadImage(str(folder / "label.nii.gz"))
    classes = SimpleITK.GetArrayFromImage(mask)
    fused = np.zeros_like(classes)
    for value in ShardConfig().label_values.values():
        fused[classes == value] = value
    merged = SimpleITK.GetImageFromArray(fused)
    merged.CopyInformation(mask)
    SimpleITK.WriteImage(merged, str(out / "merged.nii.gz"))
    load = mt.LoadImaged(keys=keys, image_only=True, ensure_channel_first=True)
    data = load({"image": str(folder / "image.nii.gz"), "label": str(out / "merged.nii.gz")})
    size = [
        int(n * s / t)
        for n, s, t in zip(data["image"].shape[1:], SPACING_MM, (1, 1, 3), strict=True)
    ]
    for key, mode in (("image", "trilinear"), ("label", "nearest")):
        data = mt.Resized(spatial_size=size, keys=[key], mode=mode)(data)
    _save(mt, data, out / "resized")
    again = mt.Compose(
        [
            mt.LoadImaged(keys=keys, image_only=True, ensure_channel_first=True),
            mt.Transposed(keys=keys, indices=(0, 3, 2, 1)),
            mt.ScaleIntensityRanged(
                keys=["image"], a_min=-1150, a_max=350, b_min=0.0, b_max=1.0, clip=True
            ),
        ]
    )
    data = again({key: _saved(out / "resized", key) for key in keys})
    places = np.nonzero(np.asarray(data["label"])[0])
    low = [max(0, int(p.min()) - m) for p, m in zip(places, MARGINS, strict=True)]
    shape = data["image"].shape[1:]
    high = [min(n, int(p.max()) + m) for p, m, n in zip(places, MARGINS, shape, strict=True)]
    crop = mt.SpatialCropd(keys=keys, roi_start=low, roi_end=high)
    pad = mt.SpatialPadd(keys=keys, spatial_size=(112, 256, 352))
    _save(mt, pad(crop(data)), out / "processed")
    return _times(started) | {"prepare_s": 0.0, "liver_sd": 0.0}


def _save(mt: Any, data: Any, folder: Path) -> None:
    for key in ("image", "label"):
        mt.SaveImaged(
            output_dir=folder / key,
            keys=[key],
            output_postfix="",
            separate_folder=False,
            resample=False,
            print_log=False,
        )(data)


def _saved(folder: Path, key: str) -> str:
    return str(next((folder / key).iterdir()))


def _ours(way: str, folder: Path, out: Path) -> dict[str, float]:
    import nibabel as nib
    import scipy.ndimage  # noqa: F401  counted as an import
    import zarr  # noqa: F401

    from fvlm_data.shards import ShardConfig
    from fvlm_data.shards.nifti_slabs import open_nifti
    from fvlm_data.shards.preprocess import sampled
    from fvlm_data.shards.source import LabelFile, read_labels
    from fvlm_data.shards.target_grid import locate
    from fvlm_data.shards.writer import spool, write_shard
    from fvlm_data.vocabulary import Vocabulary

    antialias = way == "antialias"
    config = ShardConfig(dtype="uint8" if way == "uint8" else "int16", antialias=antialias)
    names = {value: name for name, value in config.label_values.items()}
    affine = nib.load(folder / "image.nii.gz").affine
    started = time.perf_counter(), time.process_time()
    masks = [LabelFile(open_nifti((folder / "label.nii.gz").read_bytes()), names, "anatomy")]
    labels = read_labels(masks, config.anatomies, Vocabulary.load())
    grid = locate(labels.merged_ijk, affine, config)
    if grid is None:
        raise SystemExit("no anatomy found")
    slabs = open_nifti((folder / "image.nii.gz").read_bytes()).slabs_of(grid.source_ijk)
    sample = sampled(slabs, labels.merged_ijk, grid, config)
    prepare_s = time.process_time() - started[1]
    with spool() as aside:
        write_shard(out / "sample.zarr", [aside.lay(sample)], config)
    liver = sample.image_zyx[sample.label_zyx == config.label_values["liver"]]
    return _times(started) | {"prepare_s": prepare_s, "liver_sd": float(liver.std())}


def _times(started: tuple[float, float]) -> dict[str, float]:
    return {
        "wall_s": time.perf_counter() - started[0],
        "cpu_s": time.process_time() - started[1],
    }


if __name__ == "__main__":
    main()
