"""TotalSegmentator's prediction of one image, in this process.

The library's own function (`nnunet.nnUNet_predict_image` of 2.18) writes compressed files for
nnU-Net, which reads, prepares and exports them in processes that it starts for each model; the
image and labels pass through several copies in float64. `Prediction` takes its place: the same
steps on the same numbers with the library's and nnU-Net's own functions, in this process, one
read of the image for all models. It does what the library's function does with an image of
nibabel's and no output file; options that have no part in that are refused.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.totalseg_call import current_call, device_turn
from fvlm_data.segment.totalseg_grid import (
    SPLIT_MARGIN,
    box_of,
    cropped,
    labels_at,
    margin_of,
    put_back,
    resampled,
    third_slices,
    voxels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Array = np.ndarray[Any, Any]

SPLIT_VOXELS = 512 * 512 * 900
SPLIT_SLICES = 200
"""An image of more voxels and slices is predicted in parts (nnunet.nnUNet_predict_image)."""

WIDE_STEP_TASKS = ("total", "total_v3", "total_mr")
"""Tasks whose tiles overlap less: steps of 0.8 tiles, not 0.5 (nnunet.nnUNet_predict_image)."""

UNSUPPORTED = (
    "preview",
    "roi_subset",
    "statistics",
    "test",
    "v1_order",
    "remove_small_blobs",
    "higher_order_resampling_LEGACY",
    "save_probabilities",
    "save_lowres",
    "use_cropped_logits_resampling",
    "tta",
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Stands in for the library's function; `engine` is its module `totalsegmentator.nnunet`."""

    engine: Any
    resampling: Any

    def __call__(
        self,
        file_in: Any,
        file_out: None,
        task_id: int | list[int],
        *,
        model: str = "3d_fullres",
        folds: Any = None,
        trainer: str = "nnUNetTrainer",
        plans: str = "nnUNetPlans",
        resample: Any = None,
        crop: Any = None,
        crop_addon: Any = (3, 3, 3),
        task_name: str = "total",
        output_task_name: str | None = None,
        save_binary: bool = False,
        force_split: bool = False,
        device: Any = "cpu",
        cascade: Any = None,
        remove_outside_mask: Any = None,
        remove_outside_dilation: float | None = None,
        resampling_order: int = 1,
        vertebrae_body_mask: Any = None,
        **options: Any,
    ) -> tuple[Any, Any, None]:
        """Label map, image as it came, no statistics: what the library's function gives."""
        asked = sorted(name for name in UNSUPPORTED if options.get(name))
        if file_out is not None or asked:
            raise ValueError(f"not part of a prediction in this process: {', '.join(asked)}")
        image, box = file_in, None
        if crop is not None:
            mask = voxels(crop)
            if not mask.any():
                return _labels(np.zeros(image.shape, np.uint8), image.affine), file_in, None
            margin = margin_of(image, crop_addon)
            box = box_of(mask > 0, margin)
            image = cropped(image, box, np.int32)
            cascade = cropped(cascade, box, np.uint8) if cascade is not None else None
        image = self.engine.as_closest_canonical(image)
        cascade = self.engine.as_closest_canonical(cascade) if cascade is not None else None
        grid = image
        if resample is not None:
            spacing = [resample] * 3 if isinstance(resample, float) else resample
            image = self._resampled(image, spacing, resampling_order, np.int32, device)
            if cascade is not None:
                cascade = self._resampled(cascade, spacing, 0, np.uint8, device)
        current_call().check_time()
        models = _Models(self.engine, model, folds, trainer, plans, device, task_name)
        labels = self._predicted(image, cascade, task_id, task_name, models, split=force_split)
        labels = self._tidied(labels, task_name)
        if resample is not None:
            labels = labels_at(labels, grid.shape, grid.affine)
        labels = self.engine.undo_canonical(labels, file_in)
        found = np.ascontiguousarray(voxels(labels)).astype(np.uint8, copy=False)
        if box is not None:
            found = put_back(found, box, file_in.shape)
        if save_binary:
            found = (found > 0).astype(np.uint8)
        zooms = file_in.header.get_zooms()
        if output_task_name == "vertebrae_pp_refined" and vertebrae_body_mask is not None:
            found = self.engine.refine_vertebrae_pp_with_body_mask(
                found,
                voxels(vertebrae_body_mask),
                self.engine.class_map[output_task_name],
                voxel_spacing=zooms,
                dilation_mm=2,
                verbose=False,
            )
        if remove_outside_dilation is not None:
            steps = int(remove_outside_dilation / np.mean(zooms))
            found = self.engine.remove_outside_of_mask(
                found, voxels(remove_outside_mask), addon=steps
            )
        return _labels(found, file_in.affine), file_in, None

    def _resampled(self, image: Any, spacing: Any, order: int, dtype: Any, device: Any) -> Any:
        library = self.resampling
        if library.cupy_available and library.cucim_available and str(device).startswith("cuda"):
            # on the device other values come out: what the library's own command gives there
            with device_turn():
                return library.change_spacing(
                    image, spacing, order=order, dtype=dtype, nr_cpus=1, use_gpu=True
                )
        return resampled(image, spacing, order, dtype)

    def _predicted(
        self, image: Any, cascade: Any, task_id: Any, task: str, models: _Models, *, split: bool
    ) -> Any:
        from nibabel import Nifti1Image

        call, several = current_call(), isinstance(task_id, list)
        size = image.shape
        own = several and int(np.prod(size)) > SPLIT_VOXELS and size[2] > SPLIT_SLICES
        # the library's own command fails where a part is thinner than what the parts share
        asked = (split or call.split) and size[2] // 3 >= SPLIT_MARGIN
        if cascade is not None or not (asked or own):
            return self._labelled([image, cascade], task_id, task, models)
        call.was_split = True
        whole = np.zeros(size, np.uint8)
        data = voxels(image)
        for part, filled, of_part in third_slices(size[2]):
            piece = Nifti1Image(data[:, :, part], image.affine)
            found = self._labelled([piece, None], task_id, task, models)
            whole[:, :, filled] = voxels(found)[:, :, of_part]
        return Nifti1Image(whole, image.affine)

    def _labelled(self, channels: list[Any], task_id: Any, task: str, models: _Models) -> Any:
        """Labels of the whole task on the grid of the channels, by one model or several."""
        from nibabel import Nifti1Image

        with tempfile.TemporaryDirectory(prefix="fvlm_nnunet_") as folder:
            case = _Case.written(channels, Path(folder))
            if not isinstance(task_id, list):
                return models.predict(case, task_id)
            whole = np.zeros(channels[0].shape, np.uint8)
            for one in task_id:
                part = voxels(models.predict(case, one))
                value_of = self._values(task, one, int(part.max(initial=0)))
                found = value_of[part]
                np.copyto(whole, found, where=found != 0)
        return Nifti1Image(whole, channels[0].affine)

    def _values(self, task: str, task_id: int, largest: int) -> Array:
        """Value of the task for each value of one of its models."""
        parts, names = self._parts(task)
        part: Mapping[int, str] = parts[names[task_id]]
        value_of = {name: value for value, name in self.engine.class_map[task].items()}
        table = np.zeros(max(*part, largest) + 1, np.uint8)
        for value, name in part.items():
            table[value] = value_of[name]
        return table

    def _parts(self, task: str) -> tuple[Any, Any]:
        engine = self.engine
        known = {
            "total": (engine.class_map_5_parts, engine.map_taskid_to_partname_ct),
            "total_v3": (engine.class_map_5_parts_total_v3, engine.map_taskid_to_partname_ct_v3),
            "total_mr": (engine.class_map_parts_mr, engine.map_taskid_to_partname_mr),
            "headneck_muscles": (
                engine.class_map_parts_headneck_muscles,
                engine.map_taskid_to_partname_headneck_muscles,
            ),
        }
        return known[task]

    def _tidied(self, labels: Any, task: str) -> Any:
        """What the library does to the labels of some tasks, on their low resolution."""
        engine = self.engine
        labels = engine.remove_auxiliary_labels(labels, task)
        if task == "body":
            names = engine.class_map[task]
            voxel_mm3 = np.prod(labels.header.get_zooms())
            kept = engine.keep_largest_blob_multilabel(
                voxels(labels).astype(np.uint8), names, ["body_trunc"], debug=False, quiet=True
            )
            # 50 ml: the library's
            kept = engine.remove_small_blobs_multilabel(
                kept.astype(np.uint8),
                names,
                ["body_extremities"],
                interval=[50000 / voxel_mm3, 1e10],
                debug=False,
                quiet=True,
            )
            return type(labels)(kept.astype(np.uint8), labels.affine)
        if task == "vertebrae_pp":
            zooms = labels.header.get_zooms()
            kept = engine.postprocess_vertebrae_pp(
                voxels(labels).astype(np.uint8),
                engine.class_map[task],
                voxel_volume=np.prod(zooms),
                voxel_spacing=zooms,
                verbose=False,
            )
            return type(labels)(kept, labels.affine)
        return labels


@dataclass(frozen=True, slots=True)
class _Case:
    """An image as files for nnU-Net's readers, each reader's arrays kept for the next model."""

    folder: Path
    files: tuple[str, ...]
    read: dict[type, tuple[Array, dict[str, Any]]]

    @classmethod
    def written(cls, channels: list[Any], folder: Path) -> _Case:
        import nibabel as nib

        files = []
        for number, channel in enumerate(one for one in channels if one is not None):
            path = folder / f"s01_{number:04d}.nii"  # not compressed: read back at once
            nib.save(channel, path)
            files.append(str(path))
        return cls(folder, tuple(files), {})

    def arrays(self, reader: Any) -> tuple[Array, dict[str, Any]]:
        """What the reader makes of the files: float32 (channel, z, y, x) and properties."""
        if type(reader) not in self.read:
            self.read[type(reader)] = reader.read_images(list(self.files))
        data, properties = self.read[type(reader)]
        return data, dict(properties)


@dataclass(frozen=True, slots=True)
class _Models:
    """The models of one task, as nnU-Net finds and runs them (nnunet.nnUNetv2_predict)."""

    engine: Any
    configuration: str
    folds: Any
    trainer: str
    plans: str
    device: Any
    task: str

    def predict(self, case: _Case, task_id: int) -> Any:
        """Labels of one model on the case's grid: prepared, predicted, exported."""
        import nibabel as nib

        call = current_call()
        predictor = self._predictor(task_id)
        plans, configuration = predictor.plans_manager, predictor.configuration_manager
        reader = plans.image_reader_writer_class()
        data, properties = case.arrays(reader)
        prepared, _, properties = configuration.preprocessor_class(verbose=False).run_case_npy(
            data, None, properties, plans, configuration, predictor.dataset_json
        )
        call.check_time()
        with device_turn():
            logits = predictor.predict_case(prepared)
        del prepared
        call.check_time()
        export: Callable[..., Array] = (
            self.engine.nnunet_predict_from_raw_data
        ).convert_predicted_logits_to_segmentation_with_correct_shape
        labels = export(logits, plans, configuration, predictor.label_manager, properties, False)
        del logits
        path = case.folder / "s01.nii"
        reader.write_seg(labels, str(path), properties)
        found = nib.load(path)
        # read before the folder goes
        return nib.Nifti1Image(np.array(found.dataobj, dtype=np.uint8), found.affine, found.header)

    def _predictor(self, task_id: int) -> Any:
        import torch

        device = self.device if isinstance(self.device, torch.device) else torch.device(self.device)
        predictor = self.engine.nnUNetPredictor(
            tile_step_size=0.8 if self.task in WIDE_STEP_TASKS else 0.5,
            use_gaussian=True,
            use_mirroring=False,
            perform_everything_on_device=True,
            device=device,
            verbose=False,
            verbose_preprocessing=False,
            allow_tqdm=False,
        )
        folder = self.engine.get_output_folder(
            task_id, self.trainer, self.plans, self.configuration
        )
        predictor.initialize_from_trained_model_folder(
            folder, use_folds=self.folds, checkpoint_name="checkpoint_final.pth"
        )
        return predictor


def _labels(found: Array, affine_ras: Array) -> Any:
    """An image whose `get_fdata` is its labels: the library reads it so, in float64 for nothing."""
    from nibabel import Nifti1Image

    class LabelImage(Nifti1Image):  # type: ignore[misc]
        def get_fdata(self, *_: Any, **__: Any) -> Array:
            return voxels(self)

    return LabelImage(found, affine_ras)
