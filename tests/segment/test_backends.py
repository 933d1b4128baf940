"""One suite that every backend passes, on the real chest CT in three axis orders."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.segment.backend import Backend, Segmentation, VolumeImage
from fvlm_data.segment.class_map import ClassMap
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.mask_files import MaskFile
from fvlm_data.segment.precomputed import OfferedMask, Precomputed
from fvlm_data.segment.threshold import Threshold
from fvlm_data.segment.totalsegmentator import load_totalsegmentator
from fvlm_data.store.declared import Reject
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator

EN = Vocabulary.load()

CLASSES = {1: "lung_upper_lobe_left", 2: "lung_upper_lobe_right", 200: "liver"}


@pytest.fixture(scope="module")
def chest(real_data: Path) -> VolumeImage:
    image = nib.load(real_data / "chest_1p5mm" / "ct.nii.gz")
    return VolumeImage("v_chest", np.asarray(image.dataobj).astype(np.int16), image.affine)


def sides(volume: VolumeImage) -> np.ndarray[Any, Any]:
    """A label map by hand: 1 where the patient's left is, 2 on the right."""
    index = np.indices(volume.image_hu.shape).reshape(3, -1)
    x_mm = (volume.affine_ras[:3, :3] @ index + volume.affine_ras[:3, 3:])[0]
    left = (x_mm < np.median(x_mm)).reshape(volume.image_hu.shape)
    return np.where(left, 1, 2).astype(np.uint8)


class BackendSuite:
    """What a backend promises; subclasses make it."""

    def make(self, volume: VolumeImage) -> Backend:
        raise AssertionError("a subclass makes its backend")

    @pytest.fixture(params=["LPS", "RAS", "LAS", "SAR"])
    def volume(self, chest: VolumeImage, kit: SimpleNamespace, request: Any) -> VolumeImage:
        image, affine = kit.turned(chest.image_hu, chest.affine_ras, request.param)
        return VolumeImage("v_chest", np.ascontiguousarray(image), affine)

    def segment(self, volume: VolumeImage) -> Segmentation:
        made = self.make(volume)(volume)
        assert isinstance(made, Segmentation), made
        return made

    def test_label_map_lies_on_the_grid_and_every_value_has_a_name(self, volume: VolumeImage):
        made = self.segment(volume)
        assert made.labels.shape == volume.image_hu.shape
        assert made.labels.dtype in (np.uint8, np.uint16)
        assert set(np.unique(made.labels).tolist()) - {0} <= set(made.classes)
        EN.classes_of(made.class_system)

    def test_left_is_the_patients_left(self, volume: VolumeImage):
        made = self.segment(volume)
        x_mm = {}
        for side in ("left", "right"):
            values = [v for v, name in made.classes.items() if name.endswith(side)]
            center = np.argwhere(np.isin(made.labels, values)).mean(axis=0)
            x_mm[side] = (volume.affine_ras[:3, :3] @ center + volume.affine_ras[:3, 3])[0]
        assert x_mm["left"] < x_mm["right"] - 40

    def test_axis_order_changes_no_voxel(
        self, volume: VolumeImage, chest: VolumeImage, kit: SimpleNamespace
    ):
        first = self.segment(chest)
        again = self.segment(volume)
        back, _ = kit.turned(again.labels, volume.affine_ras, "LPS")
        np.testing.assert_array_equal(back, first.labels)

    def test_it_names_itself(self, chest: VolumeImage):
        backend = self.make(chest)
        assert backend.name
        assert backend.version


class TestThreshold(BackendSuite):
    def make(self, volume: VolumeImage) -> Backend:
        return Threshold()


class TestPrecomputed(BackendSuite):
    """The mask is stored in RAS, whatever the volume's order."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path, chest: VolumeImage, kit: SimpleNamespace) -> None:
        self.path = tmp_path / "mask.nii.gz"
        kit.save(self.path, *kit.turned(sides(chest), chest.affine_ras, "RAS"))

    def make(self, volume: VolumeImage) -> Backend:
        mask = MaskFile("f_1", "mask.nii.gz", self.path, "chest", "totalsegmentator_v2")
        sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        candidate = OfferedMask(mask, ClassMap("totalsegmentator_v2", CLASSES), sha256)
        return Precomputed({volume.volume_id: (candidate,)}, 0.05)


class FakePredictor:
    """Stands for nnunetv2's predictor: reads weights when it is told the model's folder."""

    reads: list[str] = []  # noqa: RUF012

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.network: object | None = None

    def initialize_from_trained_model_folder(
        self, model_training_output_dir: str, use_folds: Any, checkpoint_name: str = "c.pth"
    ) -> None:
        self.reads.append(model_training_output_dir)
        self.network = object()


class TestTotalSegmentator(BackendSuite):
    """With a stand-in of the library's modules; the weights are not at hand."""

    @pytest.fixture(autouse=True)
    def _library(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        self.calls: list[dict[str, Any]] = []
        self.weights = tmp_path / "weights"
        (self.weights / "Dataset297_Total").mkdir(parents=True)
        self.end: BaseException | None = None
        FakePredictor.reads = []
        api = ModuleType("totalsegmentator.python_api")
        engine = ModuleType("totalsegmentator.nnunet")
        table = ModuleType("totalsegmentator.map_to_binary")
        table.class_map = {"total": CLASSES, "body": {1: "body"}}  # type: ignore[attr-defined]
        engine.nnUNetPredictor = FakePredictor  # type: ignore[attr-defined]
        api.totalsegmentator = lambda *a, **k: self._run(api, engine, *a, **k)  # type: ignore[attr-defined]
        api.send_usage_stats = lambda *_: pytest.fail("statistics were sent")  # type: ignore[attr-defined]
        api.download_pretrained_weights = lambda _: pytest.fail("a download")  # type: ignore[attr-defined]
        modules = {"python_api": api, "nnunet": engine, "map_to_binary": table}
        monkeypatch.setitem(sys.modules, "totalsegmentator", ModuleType("totalsegmentator"))
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, f"totalsegmentator.{name}", module)
        monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "home"))
        monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", "")
        load_totalsegmentator.cache_clear()
        yield
        load_totalsegmentator.cache_clear()

    def _run(self, api: Any, engine: Any, image: Any, output: None, **settings: Any) -> Any:
        """What the library does, in little: weights, statistics, a canonical result."""
        if self.end is not None:
            raise self.end
        self.calls.append(settings)
        api.download_pretrained_weights(297)
        predictor = engine.nnUNetPredictor(device="cpu")
        predictor.initialize_from_trained_model_folder("297", [0], checkpoint_name="c.pth")
        assert predictor.network is not None
        api.send_usage_stats({}, {})
        volume = VolumeImage("v", np.asarray(image.dataobj), image.affine)
        result = nib.Nifti1Image(sides(volume), image.affine)
        return nib.as_closest_canonical(result)

    def make(self, volume: VolumeImage) -> Backend:
        return load_totalsegmentator(self.config())

    def config(self, **settings: Any) -> SegmentConfig:
        return SegmentConfig(
            backend="totalsegmentator", weights=self.weights, device="cpu", **settings
        )

    def test_weights_are_read_once_for_a_stream_of_volumes(self, chest: VolumeImage):
        for _ in range(3):
            self.segment(chest)
        assert len(self.calls) == 3
        assert FakePredictor.reads == ["297"]

    def test_settings_reach_the_library(self, chest: VolumeImage):
        load_totalsegmentator(self.config(fast=True))(chest)
        wanted = {"task": "total", "fast": True, "device": "cpu", "ml": True, "skip_saving": True}
        assert wanted.items() <= self.calls[0].items()

    def test_statistics_are_off_in_the_librarys_own_settings(self, chest: VolumeImage):
        self.segment(chest)
        settings = Path(os.environ["TOTALSEG_HOME_DIR"]) / "config.json"
        assert json.loads(settings.read_text())["send_usage_stats"] is False

    def test_missing_weights_are_named_and_not_fetched(self, chest: VolumeImage):
        (self.weights / "Dataset297_Total").rmdir()
        with pytest.raises(ConfigError, match=r"Dataset297_\* are not in .*download_weights"):
            self.make(chest)(chest)

    def test_the_library_ending_itself_is_an_error_of_the_volume(self, chest: VolumeImage):
        self.end = SystemExit("ERROR")
        with pytest.raises(RuntimeError, match="ended itself"):
            self.make(chest)(chest)

    def test_want_of_device_memory_is_a_reject(self, chest: VolumeImage):
        self.end = type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")
        made = self.make(chest)(chest)
        assert isinstance(made, Reject)
        assert made.reason == "out_of_device_memory"
        assert "122 x 102 x 112" in made.detail

    def test_other_tasks_have_a_class_system_of_their_own(self, chest: VolumeImage):
        made = load_totalsegmentator(self.config(task="body"))(chest)
        assert isinstance(made, Segmentation)
        assert (made.class_system, made.classes) == ("totalsegmentator_task", {1: "body"})


def test_without_the_library_there_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setitem(sys.modules, "totalsegmentator", None)
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path))
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path))
    load_totalsegmentator.cache_clear()
    with pytest.raises(ConfigError, match=r"install fvlm\[totalsegmentator\]"):
        load_totalsegmentator(SegmentConfig(backend="totalsegmentator"))
