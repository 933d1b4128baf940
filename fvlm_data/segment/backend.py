"""What all segmentation backends are, and how one is made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from fvlm_data.segment.backends import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from pydantic import BaseModel

    from fvlm_data.segment.config import SegmentConfig
    from fvlm_data.segment.plausibility.measures import Runs
    from fvlm_data.segment.plausibility.remark import Remark
    from fvlm_data.store.declared import Reject


@dataclass(frozen=True, slots=True)
class VolumeImage:
    """A CT volume: `image_hu` int16 (i, j, k), `affine_ras` 4 x 4, voxel (i, j, k, 1) to mm.

    `age_years` and `sex` are the patient's, where they are known; masks are checked by them.
    `region_header` and `contrast_header` are what the header says of the scan, as table volumes has
    them.
    """

    volume_id: str
    image_hu: np.ndarray[Any, Any]
    affine_ras: np.ndarray[Any, Any]
    age_years: float | None = None
    sex: str | None = None
    region_header: str | None = None
    contrast_header: str | None = None


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A label map of a backend's own classes.

    `labels` is uint8 or uint16 (i, j, k) on the volume's own grid, 0 background; `classes` names
    every other value in it (and may name more); `class_system` says whose names they are;
    `source_files` are the tokens of the files that it was read from, if any; `runs` are those of
    `labels`, where the backend has them already; `remarks` are what it has to say of them;
    `made_on` says on what device they were made and how, for the record.
    """

    labels: np.ndarray[Any, Any]
    classes: Mapping[int, str]
    class_system: str
    source_files: tuple[str, ...] = ()
    runs: Runs | None = None
    remarks: tuple[Remark, ...] = ()
    made_on: str = ""


class Backend(Protocol):
    """A backend is called once a volume; a fault of the volume comes back as a Reject.

    It is made once per worker and keeps what is expensive to load (weights) between calls. One
    with an attribute `side_by_side` above 1 is called by so many threads at once.
    """

    @property
    def name(self) -> str:
        """Name of the backend, as in the configuration."""

    @property
    def version(self) -> str:
        """Version of what makes the label maps."""

    def __call__(self, volume: VolumeImage) -> Segmentation | Reject:
        """Label map of one volume on its own grid, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendEntry:
    """How a backend is made from section `segment`.

    `make` is called once a worker, with the section and its `options` as `options` (a model that
    refuses unknown keys) has checked them, or None; None in its place: label maps come from
    `segment.masks`. `task` is the default name of the task (empty: the backend's name). Of the
    options those enter the keys that the model does not mark as deciding nothing
    (`fvlm_data.settings`).
    """

    make: Callable[[SegmentConfig, Any], Backend] | None
    options: type[BaseModel] | None = None
    task: str = ""

    @property
    def takes_masks(self) -> bool:
        """Whether it takes label maps that exist, instead of making them."""
        return self.make is None


@lru_cache(maxsize=2)
def made_backend(config: SegmentConfig) -> Backend:
    """The backend that makes label maps; once made, it is kept with what it has loaded.

    Raises:
        ConfigError: it is not known, or lacks something here.
        FvlmError: the code of another package raised something that it should not.
    """
    entry: BackendEntry = BACKENDS.load(config.backend)
    if entry.make is None:
        raise ValueError(f"backend {config.backend} makes no label maps, it takes those there are")
    with BACKENDS.named_in_errors(config.backend):
        return entry.make(config, config.checked_options())
