"""One suite that every backend passes, on the real chest CT in three axis orders."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.errors import ConfigError, StoreError
from fvlm_data.segment.backend import Backend, Segmentation, VolumeImage
from fvlm_data.segment.class_map import ClassMap
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.library_classes import library_classes
from fvlm_data.segment.mask_files import MaskFile
from fvlm_data.segment.plausibility.expected import load_expected
from fvlm_data.segment.precomputed import OfferedMask, Precomputed
from fvlm_data.segment.stage import segment_volume
from fvlm_data.segment.threshold import Threshold
from fvlm_data.segment.totalseg_call import current_call
from fvlm_data.segment.totalseg_device import check_device
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
    # at 3 mm: an eighth of the work
    hu = np.asarray(image.dataobj).astype(np.int16)[::2, ::2, ::2]
    return VolumeImage("v_chest", np.ascontiguousarray(hu), image.affine @ np.diag([2, 2, 2, 1.0]))


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
        self.licence = ("yes", "")
        self.versions = {"TotalSegmentator": "2.18.0", "nnunetv2": "2.8.1"}
        version = metadata.version
        monkeypatch.setattr(
            "importlib.metadata.version", lambda name: self.versions.get(name) or version(name)
        )
        FakePredictor.reads = []
        api = ModuleType("totalsegmentator.python_api")
        engine = ModuleType("totalsegmentator.nnunet")
        table = ModuleType("totalsegmentator.map_to_binary")
        classes = {"total": CLASSES, "total_v1": {1: "spleen"}, "body": {1: "body"}}
        table.class_map = classes  # type: ignore[attr-defined]
        engine.nnUNetPredictor = FakePredictor  # type: ignore[attr-defined]
        api.totalsegmentator = lambda *a, **k: self._run(api, engine, *a, **k)  # type: ignore[attr-defined]
        api.send_usage_stats = lambda *_: pytest.fail("statistics were sent")  # type: ignore[attr-defined]
        api.download_pretrained_weights = lambda _: pytest.fail("a download")  # type: ignore[attr-defined]
        api.setup_nnunet = lambda: None  # type: ignore[attr-defined]
        api.TASK_CONFIGS = {"total": {}, "body": {"disallow_fast": True, "commercial": True}}  # type: ignore[attr-defined]
        api.has_valid_license_offline = lambda: self.licence  # type: ignore[attr-defined]
        resampling = ModuleType("totalsegmentator.resampling")
        modules = {
            "python_api": api,
            "nnunet": engine,
            "map_to_binary": table,
            "resampling": resampling,
        }
        monkeypatch.setitem(sys.modules, "totalsegmentator", ModuleType("totalsegmentator"))
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, f"totalsegmentator.{name}", module)
        monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "home"))
        monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", "")
        for known in (load_totalsegmentator, library_classes):
            known.cache_clear()
        yield
        for known in (load_totalsegmentator, library_classes):
            known.cache_clear()

    def _run(self, api: Any, engine: Any, image: Any, output: None, **settings: Any) -> Any:
        """What the library does, in little: weights, statistics, a canonical result."""
        self.calls.append(settings)
        if self.end is not None:
            raise self.end
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
        assert "61 x 51 x 56" in made.detail

    def test_what_does_not_fit_is_split_then_tried_elsewhere_then_set_aside_for_now(
        self, chest: VolumeImage, monkeypatch: pytest.MonkeyPatch
    ):
        tried = []

        def run(*_: Any, device: str, **__: Any) -> Any:
            tried.append((device, current_call().split))
            raise type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")

        monkeypatch.setattr("fvlm_data.segment.totalsegmentator.check_device", lambda _: None)
        config = self.config(out_of_memory=("split", "gpu:1", "split"))
        backend = replace(load_totalsegmentator(config), run=run)
        outcome = segment_volume(chest, "v_chest", backend, config, EN)
        assert tried == [("cpu", False), ("cpu", True), ("gpu:1", False), ("gpu:1", True)]
        assert [one.reason for one in outcome.rejects] == ["out_of_device_memory"]
        assert outcome.retry

    def test_the_record_says_on_what_device_and_in_how_many_parts(
        self, chest: VolumeImage, monkeypatch: pytest.MonkeyPatch
    ):
        def run(image: Any, *_: Any, **__: Any) -> Any:
            call = current_call()
            if not call.split:
                raise type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")
            call.was_split = True
            volume = VolumeImage("v", np.asarray(image.dataobj), image.affine)
            return nib.Nifti1Image(sides(volume), image.affine)

        config = self.config(policy=dict.fromkeys(load_expected().policy, "ignore"))
        backend = replace(load_totalsegmentator(config), run=run)
        outcome = segment_volume(chest, "v_chest", backend, config, EN)
        told = {row.backend_version for row in outcome.rows["masks"]}
        assert told == {"2.18.0, nnU-Net 2.8.1, cpu, in three parts along z"}

    def test_a_volume_over_its_time_is_set_aside_and_not_settled(
        self, chest: VolumeImage, monkeypatch: pytest.MonkeyPatch
    ):
        def run(*_: Any, **__: Any) -> Any:
            call = current_call()
            assert call.ends is not None
            call.ends = float("-inf")
            call.check_time()

        config = self.config(time_limit_s=100)
        backend = replace(load_totalsegmentator(config), run=run)
        outcome = segment_volume(chest, "v_chest", backend, config, EN)
        assert [one.reason for one in outcome.rejects] == ["segmentation_time_limit"]
        assert "100 s" in outcome.rejects[0].detail
        assert outcome.retry

    def test_a_broken_device_stops_the_stage(self, chest: VolumeImage):
        self.end = type("AcceleratorError", (RuntimeError,), {})("CUDA error: illegal address")
        with pytest.raises(StoreError, match=r"the device failed \(AcceleratorError\)"):
            self.make(chest)(chest)

    def test_no_main_memory_is_the_machines_fault(self, chest: VolumeImage):
        self.end = RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory")
        with pytest.raises(MemoryError):
            self.make(chest)(chest)

    def test_a_gpu_that_is_not_there_is_an_error_not_a_slow_run(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        check_device.cache_clear()
        config = SegmentConfig(backend="totalsegmentator", weights=self.weights)
        with pytest.raises(ConfigError, match=r"segment.device gpu: torch .* finds 0 GPUs here"):
            load_totalsegmentator(config)

    def test_a_task_without_its_licence_is_refused_before_any_volume(self):
        self.licence = ("missing_license", "")
        with pytest.raises(ConfigError, match=r"segment.task body: .* found missing license"):
            load_totalsegmentator(self.config(task="body"))

    def test_a_task_without_a_fast_model_is_refused(self):
        with pytest.raises(ConfigError, match="has no fast model for task body"):
            load_totalsegmentator(self.config(task="body", fast=True))

    @pytest.mark.parametrize("name", ["TotalSegmentator", "nnunetv2"])
    def test_another_version_is_named(self, name: str):
        self.versions[name] = "3.1.0"
        with pytest.raises(ConfigError, match=rf"{name} 3.1.0 is installed"):
            load_totalsegmentator(self.config())

    def test_a_model_that_cannot_be_read_stops_the_stage(
        self, chest: VolumeImage, monkeypatch: pytest.MonkeyPatch
    ):
        def damaged(*_: Any, **__: Any) -> None:
            raise EOFError

        monkeypatch.setattr(FakePredictor, "initialize_from_trained_model_folder", damaged)
        with pytest.raises(ConfigError, match=r"model in 297 cannot be read \(EOFError\)"):
            self.make(chest)(chest)

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
