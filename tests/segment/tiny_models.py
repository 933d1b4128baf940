"""Small nnU-Net models of random weights in TotalSegmentator's folders, for tests and bench.

They find nothing in a patient, but every step from image to label map is the real one. Only
importable where TotalSegmentator is installed (`make install-segmentation`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Size:
    """Patch in voxels (z, y, x) and features of each level of a model."""

    patch: tuple[int, int, int] = (32, 32, 32)
    features: tuple[int, ...] = (4, 8)


def write_task(weights: Path, task: str, size: Size = Size(), *, fast: bool = False) -> None:
    """Models of a task, and of what the library crops its image by."""
    from totalsegmentator.python_api import get_task_config

    config = get_task_config(task, fast=fast, quiet=True, plans="nnUNetPlans")
    ids = config["task_id"] if isinstance(config["task_id"], list) else [config["task_id"]]
    for number in ids:
        spacing = config["resample"] or 1.5
        write_model(weights, number, classes_of(task, number), config, spacing, size)
    if config["crop"] is not None and config["crop_model"] is None:
        number = 297 if config["robust_crop"] else 298
        trainer = "nnUNetTrainer_4000epochs_NoMirroring"
        rough = {"trainer": trainer, "plans": "nnUNetPlans", "model": "3d_fullres", "folds": [0]}
        spacing = 3.0 if config["robust_crop"] else 6.0
        write_model(weights, number, classes_of("total", number), rough, spacing, size)


def classes_of(task: str, number: int) -> dict[int, str]:
    """Classes of a model: those of its part where a task has several."""
    from totalsegmentator import map_to_binary as maps

    if task == "total" and number in maps.map_taskid_to_partname_ct:
        return dict(maps.class_map_5_parts[maps.map_taskid_to_partname_ct[number]])
    return dict(maps.class_map[task])


def write_model(
    weights: Path, number: int, classes: dict[int, str], config: Any, spacing: Any, size: Size
) -> None:
    """One model: dataset.json, plans.json, and a checkpoint of weights drawn by its number."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from totalsegmentator.map_tasks_config import TASK_ID_WEIGHTS_CONFIGS

    name = TASK_ID_WEIGHTS_CONFIGS[number]["foldername"]
    kind = f"{config['trainer']}__{config['plans']}__{config['model']}"
    folder = weights / name / kind
    for fold in config["folds"] or [0]:
        (folder / f"fold_{fold}").mkdir(parents=True, exist_ok=True)
    labels = {"background": 0} | {name: value for value, name in classes.items()}
    about = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(about | {"numTraining": 1}), encoding="utf-8")
    plans = _plans(name, spacing, size, config["model"])
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    torch.manual_seed(number)
    built = plans["configurations"][config["model"]]["architecture"]["arch_kwargs"] | {
        "conv_op": torch.nn.Conv3d,
        "norm_op": torch.nn.InstanceNorm3d,
        "nonlin": torch.nn.LeakyReLU,
    }
    network = PlainConvUNet(
        input_channels=1, num_classes=len(labels), deep_supervision=False, **built
    )
    for fold in config["folds"] or [0]:
        checkpoint = {
            "network_weights": network.state_dict(),
            "trainer_name": config["trainer"],
            "init_args": {"configuration": config["model"]},
            "inference_allowed_mirroring_axes": None,
        }
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")


def _plans(name: str, spacing: Any, size: Size, configuration: str) -> dict[str, Any]:
    levels = len(size.features)
    mm = [spacing] * 3 if isinstance(spacing, float) else list(spacing)[::-1]
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    of_labels = resampling | {"is_seg": True, "order": 1}
    chosen = {
        "data_identifier": "tiny",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(size.patch),
        "median_image_size_in_voxels": list(size.patch),
        "spacing": mm,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": of_labels,
        "resampling_fn_probabilities_kwargs": resampling | {"order": 1},
        "batch_dice": False,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": levels,
                "features_per_stage": list(size.features),
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * levels,
                "strides": [[1, 1, 1]] + [[2, 2, 2]] * (levels - 1),
                "n_conv_per_stage": [1] * levels,
                "n_conv_per_stage_decoder": [1] * (levels - 1),
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    return {
        "dataset_name": name,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": mm,
        "original_median_shape_after_transp": list(size.patch),
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {configuration: chosen},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {
                "max": 3071.0,
                "mean": 50.0,
                "median": 40.0,
                "min": -1024.0,
                "percentile_00_5": -900.0,
                "percentile_99_5": 1000.0,
                "std": 300.0,
            }
        },
    }
