"""Each image encoder on shards of the phantom, by the commands as a user gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fvlm_train.cli import eval_app, train_app
from fvlm_train.model import FVLM

ENCODERS: dict[str, dict[str, Any]] = {
    "vit": {"image": {"patch_zyx": [8, 16, 16], "window_zyx": [32, 64, 64]}},
    "mae": {"image": {"patch_zyx": [8, 16, 16], "window_zyx": [32, 64, 64]}},
    "swin": {
        "image": {"patch_zyx": [8, 8, 8], "window_zyx": [32, 64, 64]},
        "image_encoder_options": {
            "feature_size": 12, "depths": [1, 1, 1, 1], "heads": [1, 2, 2, 2], "window": 3,
            "stage": 2,
        },
    },
    "i3d_resnet": {
        "image": {"patch_zyx": [16, 32, 32], "window_zyx": [32, 64, 64]},
        "image_encoder_options": {"blocks": [1, 1, 1, 1], "width": 4},
    },
}  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("name", list(ENCODERS))
def test_each_encoder_learns_from_shards_and_is_scored(
    name: str, undisturbed: Path, tmp_path: Path
) -> None:
    text = {"kind": "fresh", "width": 16, "depth": 1, "heads": 2, "vocabulary_size": 200}
    image = {"width": 16, "depth": 2, "heads": 2} | ENCODERS[name]["image"]
    model = ENCODERS[name] | {"image_encoder": name, "image": image, "text": text}
    section = {
        "anatomies": ["liver", "spleen"], "model": model | {"projection_dim": 16},
        "batch_size": 2, "steps": 2, "threads": 1, "device": "cpu",
        "loss": {"policy": "none"},
    }  # fmt: skip
    file, run = tmp_path / "config.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump({"train": section}))
    at = ["--store", str(undisturbed), "--json"]
    trained = CliRunner().invoke(train_app, [str(file), "--out", str(run), *at])
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["steps"] == 2
    assert FVLM.from_run(run).config.image_encoder == name
    scores = ["--split", "train", "--set", "evaluate.min_positive_patients=1"]
    scored = CliRunner().invoke(eval_app, ["zero-shot", str(run), *scores, *at])
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.stdout)["samples"] >= 2
