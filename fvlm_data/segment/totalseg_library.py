"""The installed TotalSegmentator, made fit for workers: quiet, silent, in one process.

Its functions are called as they are, but for those of its module globals that are replaced here;
all of that rests on internals, so other versions than those below are refused.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from fvlm_data.errors import ConfigError
from fvlm_data.segment.library_classes import DISTRIBUTION
from fvlm_data.segment.totalseg_models import keeping_models
from fvlm_data.segment.totalseg_predict import Prediction

HOME_VARIABLE = "TOTALSEG_HOME_DIR"
WEIGHTS_VARIABLE = "TOTALSEG_WEIGHTS_PATH"
WRITTEN_AGAINST = {DISTRIBUTION: "2.18", "nnunetv2": "2.8"}
"""Distribution to the version (major.minor) whose inner parts are known; pinned by the extra."""

EXTRA = "install fvlm[totalsegmentator] in the segmentation workers' environment"


def installed_versions() -> dict[str, str]:
    """Versions of TotalSegmentator and nnU-Net.

    Raises:
        ConfigError: one is not installed, or in another version than this program knows.
    """
    found = {}
    for name, known in WRITTEN_AGAINST.items():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError as error:
            raise ConfigError(
                f"segment.backend totalsegmentator: {name} is not installed here; {EXTRA}"
            ) from error
        if not found[name].startswith(f"{known}."):
            raise ConfigError(
                f"segment.backend totalsegmentator: {name} {found[name]} is installed, whose inner "
                f"parts are not known to be those of {known}, which this program uses; {EXTRA}"
            )
    return found


def prepared_library(weights: Path | None, *, download: bool) -> Any:
    """The library's module `python_api`, ready for volumes one after the other or side by side.

    Raises:
        ConfigError: it is not installed.
    """
    _prepare_home(weights)
    try:
        api: Any = import_module("totalsegmentator.python_api")
        api.setup_nnunet()  # sets variables that nnU-Net asks for when it is imported
        engine: Any = import_module("totalsegmentator.nnunet")
        resampling: Any = import_module("totalsegmentator.resampling")
    except ImportError as error:
        raise ConfigError(
            f"segment.backend totalsegmentator: {error.name} is not installed here; {EXTRA}"
        ) from error
    # no environment variable switches it off (see fvlm_data/telemetry.py)
    api.send_usage_stats = _do_nothing
    # it writes a file that another thread may be reading
    api.increase_prediction_counter = _do_nothing
    if not download:
        api.download_pretrained_weights = _require_weights
    if not hasattr(engine.nnUNetPredictor, "predict_case"):
        engine.nnUNetPredictor = keeping_models(engine.nnUNetPredictor)
        engine.recursive_find_trainer_class_by_name = _trainer_class
        engine.nnUNet_predict_image = Prediction(engine, resampling)
    _silence()
    return api


def check_licence(api: Any, task: str) -> None:
    """Refuse a task that needs a licence where none is set; the library would end the process.

    Raises:
        ConfigError: there is none, or it has not the form of one.
    """
    if not api.TASK_CONFIGS.get(task, {}).get("commercial"):
        return
    status, _ = api.has_valid_license_offline()
    if status != "yes":
        raise ConfigError(
            f"segment.task {task}: TotalSegmentator asks for a licence for this task, and found "
            f"{status.replace('_', ' ')}; set one with totalseg_set_license on this machine, or "
            "choose another task"
        )


def weights_folder(chosen: Path | None) -> Path:
    """Where the models lie: as configured, else as the library looks for them."""
    home = Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".totalsegmentator")
    return chosen or Path(os.environ.get(WEIGHTS_VARIABLE) or home / "nnunet" / "results")


def _prepare_home(folder: Path | None) -> None:
    """Give this process a settings folder of its own, so that workers do not write one file.

    A licence number that the user has set is taken over; weights stay where they are.
    """
    default_home = Path.home() / ".totalsegmentator"
    home = Path(os.environ.get(HOME_VARIABLE) or default_home)
    os.environ[WEIGHTS_VARIABLE] = str(weights_folder(folder))
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


def _trainer_class(name: str) -> Any:
    """A trainer of nnU-Net by its name, importing the one module that defines it.

    nnU-Net imports all modules of trainers until it finds the name; some need timm and
    torchvision, which prediction has no use for.
    """
    package: Any = import_module("nnunetv2.training.nnUNetTrainer")
    root = Path(next(iter(package.__path__)))
    defined = re.compile(rf"^class {re.escape(name)}\b", re.MULTILINE)
    for path in sorted(root.rglob("*.py")):
        if defined.search(path.read_text(encoding="utf-8")):
            parts = path.relative_to(root).with_suffix("").parts
            return getattr(import_module(".".join((package.__name__, *parts))), name)
    raise ConfigError(f"the installed nnU-Net has no trainer {name}; {EXTRA}")


def _silence() -> None:
    """Take `print` from the library's modules: a stream would be redirected for all threads."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("totalsegmentator", "nnunetv2") and module is not None:
            vars(module)["print"] = _do_nothing


def _do_nothing(*_: Any, **__: Any) -> None:
    """Stands in for the library's statistics, its counter and its printing."""
