"""Backend `totalsegmentator`: the installed library, its models loaded once a process.

What is replaced in the library, and why, says `totalseg_library`; statistics are switched off
twice: in the configuration file that the library reads, and by taking the sending function out.
Nothing is downloaded unless the configuration says so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import ConfigError, FvlmError, StoreError
from fvlm_data.segment.backend import BackendEntry, Segmentation, VolumeImage
from fvlm_data.segment.grid import reoriented
from fvlm_data.segment.library_classes import DISTRIBUTION, installed_classes
from fvlm_data.segment.totalseg_call import Call, TimeLimitError, calling
from fvlm_data.segment.totalseg_device import check_device, device_name
from fvlm_data.segment.totalseg_library import (
    check_licence,
    installed_versions,
    prepared_library,
)
from fvlm_data.segment.totalseg_models import is_broken_device, lacks_main_memory, wants_memory
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.segment.config import SegmentConfig

SYSTEM_TASKS = {"total": "totalsegmentator_v2"}
GRID_TOLERANCE_VOXELS = 0.05


@dataclass(frozen=True, slots=True)
class TotalSegmentator:
    """The library's function with the settings and class names of one task.

    `run` is `totalsegmentator.python_api.totalsegmentator`; use `load_totalsegmentator`. It may be
    called by several threads at once: they take turns at the device.
    """

    run: Any
    config: SegmentConfig
    classes: Mapping[int, str]
    version: str
    name: str = "totalsegmentator"

    @property
    def side_by_side(self) -> int:
        """How many volumes a worker has in hand at once."""
        return self.config.side_by_side

    def __call__(self, volume: VolumeImage) -> Segmentation | Reject:
        """Segment one volume.

        Raises:
            RuntimeError: the library ended the process or failed otherwise.
            ConfigError: weights, licence or device are not what the configuration needs.
            StoreError: the device failed.
            MemoryError: the machine's memory did not suffice.
        """
        limit = self.config.time_limit_s
        ends = None if limit is None else time.monotonic() + limit
        for device, call in self._attempts(ends):
            try:
                return self._labelled(volume, device, call)
            except TimeLimitError:
                return Reject(
                    "fault",
                    "segmentation_time_limit",
                    f"segmentation of {_size(volume)} voxels took longer than "
                    f"segment.time_limit_s allows ({limit:g} s); raise it, or look at the volume; "
                    "the next run tries it again",
                )
            except Exception as error:
                if not wants_memory(error):
                    raise
        return Reject(
            "fault",
            "out_of_device_memory",
            f"a volume of {_size(volume)} voxels does not fit the device; set "
            "segment.fast, name another device in segment.out_of_memory or use a device with more "
            "memory; the next run tries it again",
        )

    def _attempts(self, ends: float | None) -> Iterator[tuple[str, Call]]:
        """The device as configured, then what `segment.out_of_memory` says, in its order."""
        device, call = self.config.device, Call(ends=ends)
        yield device, call
        for step in self.config.out_of_memory:
            if step != "split":
                if step == device:
                    continue
                device, split = step, False
            elif call.was_split:  # by the library's own rule: it would be the same again
                continue
            else:
                split = True
            call = Call(split=split, ends=ends)
            yield device, call

    def _labelled(self, volume: VolumeImage, device: str, call: Call) -> Segmentation | Reject:
        import nibabel as nib

        image = nib.Nifti1Image(volume.image_hu, volume.affine_ras)
        check_device(device)
        try:
            with calling(call):
                made = self.run(
                    image,
                    None,
                    ml=True,
                    task=self.config.task,
                    fast=self.config.fast,
                    device=device,
                    quiet=True,
                    skip_saving=True,
                )
        # SystemExit is not an Exception: uncaught, it would end the worker silently
        except SystemExit as error:
            raise RuntimeError("TotalSegmentator ended itself") from error
        except (FvlmError, TimeLimitError):
            raise
        except Exception as error:
            if lacks_main_memory(error):
                raise MemoryError from error
            if is_broken_device(error) and not wants_memory(error):
                raise StoreError(
                    f"segment.device {device}: the device failed ({type(error).__name__}) and "
                    "is of no use to this process any more; look at it (nvidia-smi, dmesg) and run "
                    "again: finished volumes are kept"
                ) from error
            raise
        labels = np.asarray(made.dataobj).astype(np.uint8, copy=False)
        aligned = reoriented(
            labels, made.affine, volume.image_hu.shape, volume.affine_ras, GRID_TOLERANCE_VOXELS
        )
        if isinstance(aligned, str):
            return Reject("fault", "mask_grid_mismatch", f"TotalSegmentator's result: {aligned}")
        system = SYSTEM_TASKS.get(self.config.task, "totalsegmentator_task")
        parts = ", in three parts along z" if call.was_split else ""
        return Segmentation(aligned, self.classes, system, made_on=f"{device_name(device)}{parts}")


@cache
def load_totalsegmentator(config: SegmentConfig) -> TotalSegmentator:
    """Prepare the installed library; weights are read at the first volume and kept.

    Raises:
        ConfigError: the library is not installed, is of another version or knows no such task;
            its licence is missing; or the device is not there.
    """
    versions = installed_versions()
    api = prepared_library(config.weights, download=config.download_weights)
    classes = installed_classes(config.task)
    check_licence(api, config.task)
    check_device(config.device)
    if config.fast and api.TASK_CONFIGS.get(config.task, {}).get("disallow_fast"):
        raise ConfigError(
            f"segment.fast: TotalSegmentator has no fast model for task {config.task}; set it to "
            "false"
        )
    version = f"{versions[DISTRIBUTION]}, nnU-Net {versions['nnunetv2']}"
    return TotalSegmentator(api.totalsegmentator, config, classes, version)


def _size(volume: VolumeImage) -> str:
    return " x ".join(map(str, volume.image_hu.shape))


TOTALSEGMENTATOR = BackendEntry(
    make=lambda config, _options: load_totalsegmentator(config), task="total"
)
