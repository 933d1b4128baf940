"""Label maps by the backend in a daemonic process, as a Dask worker is: no process may be started.

    python by_backend.py CT.nii.gz OUT TASK[:fast|:split]...

Writes the tasks' models to the folder that the library's variable names, and OUT/TASK.npy twice:
both volumes are in hand at once.
"""

from __future__ import annotations

import multiprocessing
import sys
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from fvlm_data.segment.backend import Segmentation, VolumeImage
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.side_by_side import side_by_side
from fvlm_data.segment.totalseg_call import Call
from fvlm_data.segment.totalsegmentator import load_totalsegmentator


def segment(ct: str, out: str, tasks: tuple[str, ...]) -> None:
    """Each task, two volumes at once."""
    image = nib.load(ct)
    volume = VolumeImage("v", np.asarray(image.dataobj).astype(np.int16), image.affine)
    for told in tasks:
        task, _, how = told.partition(":")
        config = SegmentConfig(
            backend="totalsegmentator", task=task, device="cpu", fast=how == "fast"
        )
        backend = load_totalsegmentator(config)
        work = [
            partial(backend._labelled, volume, "cpu", Call(split=how == "split")) for _ in range(2)
        ]
        for number, made in enumerate(side_by_side(work, 2)):
            assert isinstance(made, Segmentation), made
            np.save(Path(out) / f"{told.replace(':', '.')}.{number}.npy", made.labels)


def main(ct: str, out: str, *tasks: str) -> None:
    """Write the models, then segment in a daemon."""
    import os

    sys.path.insert(0, str(Path(__file__).parent))
    from tiny_models import Size, write_task

    weights = Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    for told in tasks:
        task, _, how = told.partition(":")
        write_task(weights, task, Size((16, 16, 16), (2, 4)), fast=how == "fast")
    work = multiprocessing.get_context("spawn").Process(
        target=segment, args=(ct, out, tasks), daemon=True
    )
    work.start()
    work.join()
    sys.exit(work.exitcode)


if __name__ == "__main__":
    main(*sys.argv[1:])
