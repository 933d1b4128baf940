"""Named recipes for the sections `train` and `evaluate`."""

from __future__ import annotations

from typing import Any

# The public code's recipe on CT-RATE, down to its effective weight decay (0.01 on everything).
_REFERENCE: dict[str, Any] = {
    "anatomies": ["lung", "heart", "esophagus", "aorta"],
    "model": {
        "image": {"patch_zyx": [16, 16, 32], "window_zyx": [112, 256, 352]},
        "text": {"kind": "folder", "max_tokens": 384, "add_token_type_embeddings": False},
    },
    "loss": {"policy": "reference", "not_mentioned": "normal"},
    "optimiser": {
        "learning_rate": 1e-4,
        "min_learning_rate": 1e-6,
        "warmup_steps": 377,
        "weight_decay": 0.01,
        "decay": "everything",
    },
    "flips": {"z": 0.2, "y": 0.2, "x": 0.2},
    "window_hu": [-1150.0, 350.0],
    "batch_size": 56,
    "epochs": 20,
}

# Minutes on two CPU cores, volumes of some 5 mm cropped closely to their anatomies.
_SMALL: dict[str, Any] = {
    "model": {
        "image": {
            "width": 64,
            "depth": 1,
            "heads": 4,
            "mlp_ratio": 2.0,
            "dropout": 0.0,
            "patch_zyx": [8, 8, 8],
            "window_zyx": [72, 64, 80],
            "stem": "histogram",
            "stem_windows": 8,
            "stem_cells": 2,
        },
        "text": {
            "kind": "fresh",
            "width": 64,
            "depth": 1,
            "heads": 4,
            "dropout": 0.0,
            "vocabulary_size": 1000,
            "max_tokens": 64,
            "pooling": "mean",
            "token_dropout": 0.3,
        },
        "projection_dim": 64,
        "pooling_dropout": 0.0,
        "temperature_init": 0.2,
    },
    "loss": {"policy": "signature", "not_mentioned": "normal"},
    "optimiser": {"learning_rate": 2e-3, "warmup_steps": 20, "clip_norm": 1.0},
    "batch_size": 24,
    "steps": 600,
    "checkpoint_every_steps": 100,
    "cache_bytes": 4_000_000_000,
}

TRAIN_PRESETS: dict[str, dict[str, Any]] = {"reference": _REFERENCE, "small": _SMALL}

EVALUATE_PRESETS: dict[str, dict[str, Any]] = {
    "reference": {"window_zyx": [112, 288, 352], "absent_anatomy": "zero"},
    "small": {"window_zyx": None, "batch_size": 16},
}


def merged(base: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """A new tree of `base` with the keys of `above` laid over it, section by section."""
    result = dict(base)
    for key, value in above.items():
        below = result.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result
