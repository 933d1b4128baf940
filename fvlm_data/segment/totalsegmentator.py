"""Backend `totalsegmentator`: the installed library, its weights loaded once a process.

Written against TotalSegmentator 2.5 to 2.18 (module `python_api`, function `totalsegmentator`).
Statistics are switched off twice: in the configuration file that the library reads, and by
taking the sending function out. Nothing is downloaded unless the configuration says so.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import ConfigError
from fvlm_data.segment.backend import BackendEntry, Segmentation, VolumeImage
from fvlm_data.segment.grid import reoriented
from fvlm_data.segment.library_classes import DISTRIBUTION, installed_classes
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fvlm_data.segment.config import SegmentConfig

HOME_VARIABLE = "TOTALSEG_HOME_DIR"
WEIGHTS_VARIABLE = "TOTALSEG_WEIGHTS_PATH"
SYSTEM_TASKS = {"total": "totalsegmentator_v2"}
GRID_TOLERANCE_VOXELS = 0.05


@dataclass(frozen=True, slots=True)
class TotalSegmentator:
    """The library's function with the settings and class names of one task.

    `run` is `totalsegmentator.python_api.totalsegmentator`; use `load_totalsegmentator`.
    """

    run: Any
    config: SegmentConfig
    classes: Mapping[int, str]
    version: str
    name: str = "totalsegmentator"

    def __call__(self, volume: VolumeImage) -> Segmentation | Reject:
        """Segment one volume.

        Raises:
            RuntimeError: the library ended the process or failed otherwise.
        """
        import nibabel as nib

        image = nib.Nifti1Image(volume.image_hu, volume.affine_ras)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                made = self.run(
                    image,
                    None,
                    ml=True,
                    task=self.config.task,
                    fast=self.config.fast,
                    device=self.config.device,
                    quiet=True,
                    skip_saving=True,
                )
        # SystemExit is not an Exception: uncaught, it would end the worker silently
        except SystemExit as error:
            raise RuntimeError("TotalSegmentator ended itself") from error
        except Exception as error:
            # torch's class, by name: this module does not import torch
            if type(error).__name__ != "OutOfMemoryError":
                raise
            size = " x ".join(map(str, volume.image_hu.shape))
            return Reject(
                "fault",
                "out_of_device_memory",
                f"a volume of {size} voxels does not fit the device; set "
                "segment.fast or use a device with more memory",
            )
        labels = np.asarray(made.dataobj).astype(np.uint8)
        aligned = reoriented(
            labels, made.affine, volume.image_hu.shape, volume.affine_ras, GRID_TOLERANCE_VOXELS
        )
        if isinstance(aligned, str):
            return Reject("fault", "mask_grid_mismatch", f"TotalSegmentator's result: {aligned}")
        system = SYSTEM_TASKS.get(self.config.task, "totalsegmentator_task")
        return Segmentation(aligned, self.classes, system)


@cache
def load_totalsegmentator(config: SegmentConfig) -> TotalSegmentator:
    """Prepare the installed library; weights are read at the first volume and kept.

    Raises:
        ConfigError: the library is not installed or knows no such task.
    """
    _prepare_home(config)
    try:
        api: Any = import_module("totalsegmentator.python_api")
        engine: Any = import_module("totalsegmentator.nnunet")
    except ImportError as error:
        raise ConfigError(
            f"segment.backend totalsegmentator: {error.name} is not installed here; install "
            "fvlm[totalsegmentator] in the segmentation workers' environment"
        ) from error
    # no environment variable switches it off (see fvlm_data/telemetry.py)
    api.send_usage_stats = _send_nothing
    if not config.download_weights:
        api.download_pretrained_weights = _require_weights
    if "_kept_weights" not in vars(engine.nnUNetPredictor):
        engine.nnUNetPredictor = _keeping_weights(engine.nnUNetPredictor)
    classes = installed_classes(config.task)
    return TotalSegmentator(api.totalsegmentator, config, classes, _version())


def _prepare_home(config: SegmentConfig) -> None:
    """Give this process a settings folder of its own, so that workers do not write one file.

    The library counts predictions in it at every call. A licence number that the user has set
    is taken over; weights stay where they are.
    """
    default_home = Path.home() / ".totalsegmentator"
    home = Path(os.environ.get(HOME_VARIABLE) or default_home)
    weights = os.environ.get(WEIGHTS_VARIABLE) or str(home / "nnunet" / "results")
    os.environ[WEIGHTS_VARIABLE] = str(config.weights) if config.weights else weights
    settings: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        settings = json.loads((home / "config.json").read_text(encoding="utf-8"))
    settings |= {
        "send_usage_stats": False,
        "statistics_disclaimer_shown": True,
        "totalseg_id": "none",
        "prediction_counter": 0,
    }
    own = Path(tempfile.mkdtemp(prefix="fvlm_totalsegmentator_"))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    (own / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    os.environ[HOME_VARIABLE] = str(own)


def _send_nothing(*_: Any, **__: Any) -> None:
    """Stands in for the library's sending of usage statistics."""


def _require_weights(task_id: int | str) -> None:
    """Stands in for the library's download: weights must be there already.

    nnU-Net keeps a model in a folder named Dataset<id>_<name> (nnunetv2
    dataset_id_conversion).
    """
    folder = Path(os.environ[WEIGHTS_VARIABLE])
    pattern = f"Dataset{task_id:03d}_*" if isinstance(task_id, int) else f"*{task_id}*"
    if not any(folder.glob(pattern)):
        raise ConfigError(
            f"TotalSegmentator's weights {pattern} are not in {folder}; put them there, or set "
            "segment.download_weights to true"
        )


def _keeping_weights(predictor: type) -> type:
    """A predictor class that reads each trained model once a process.

    The library makes a predictor for each volume and model; nnU-Net then reads the weights from
    disk. What `initialize_from_trained_model_folder` sets on the first predictor of a model is
    set on the later ones.
    """

    class WeightKeepingPredictor(predictor):  # type: ignore[misc]
        _kept_weights: dict[tuple[Any, ...], dict[str, Any]] = {}  # noqa: RUF012

        def initialize_from_trained_model_folder(
            self,
            model_training_output_dir: str,
            use_folds: Iterable[int | str] | None,
            checkpoint_name: str = "checkpoint_final.pth",
        ) -> None:
            folds = tuple(use_folds) if isinstance(use_folds, list | tuple) else use_folds
            # a list cannot be a dictionary key
            model = (model_training_output_dir, folds, checkpoint_name, str(self.device))
            if model not in self._kept_weights:
                before = dict(vars(self))
                super().initialize_from_trained_model_folder(
                    model_training_output_dir, use_folds, checkpoint_name=checkpoint_name
                )
                self._kept_weights[model] = {
                    name: value
                    for name, value in vars(self).items()
                    if name not in before or before[name] is not value
                }
            self.__dict__.update(self._kept_weights[model])

    return WeightKeepingPredictor


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


TOTALSEGMENTATOR = BackendEntry(
    make=lambda config, _options: load_totalsegmentator(config), task="total"
)
