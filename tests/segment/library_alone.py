"""TotalSegmentator as it is, apart from ours: label maps to compare with.

    python library_alone.py CT.nii.gz OUT TASK[:fast|:split]... [--pools]

Writes OUT/TASK[.fast|.split].nii.gz. Weights and settings come from the library's own variables.
Without `--pools` nnU-Net predicts by its own way without processes. nnU-Net imports all of its
trainers to find one; those that need timm (and with it torchvision) are given an empty one.
"""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class Empty(ModuleType):
    """A module that has whatever is asked of it."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def main(ct: str, out: str, *tasks: str) -> None:
    """Run each task on the image, as the library's function does it."""
    for name in ("timm", "timm.layers", "timm.models", "timm.models.eva"):
        sys.modules.setdefault(name, Empty(name))
    from totalsegmentator import nnunet
    from totalsegmentator.python_api import totalsegmentator

    if "--pools" not in tasks:

        def in_one_process(self: Any, source: str, target: str, **_: Any) -> None:
            self.predict_from_files_sequential(source, target, False, True, None)

        nnunet.nnUNetPredictor.predict_from_files = in_one_process
        # as many threads as that: on a busy machine more of them wait for each other
        multiprocessing.cpu_count = lambda: 1  # type: ignore[assignment]
    for told in tasks:
        if told == "--pools":
            continue
        task, _, how = told.partition(":")
        totalsegmentator(
            ct,
            Path(out) / f"{told.replace(':', '.')}.nii.gz",
            ml=True,
            task=task,
            fast=how == "fast",
            force_split=how == "split",
            device="cpu",
            quiet=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
