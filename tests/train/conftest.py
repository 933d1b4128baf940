from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fvlm_data.run.layers import merged
from fvlm_train.config import TrainConfig, parse_train_config
from fvlm_train.testing import toy_source
from fvlm_train.training.train import train

TINY: dict[str, Any] = {
    "anatomies": ["liver", "kidney", "lung"],
    "model": {
        "image": {
            "width": 16,
            "depth": 2,
            "heads": 2,
            "dropout": 0.1,
            "patch_zyx": [8, 16, 16],
            "window_zyx": [24, 48, 48],
        },
        "text": {
            "kind": "fresh",
            "width": 16,
            "depth": 1,
            "heads": 2,
            "vocabulary_size": 200,
            "max_tokens": 32,
        },
        "projection_dim": 16,
    },
    "loss": {"policy": "signature", "not_mentioned": "normal"},
    "optimiser": {"learning_rate": 1e-3, "warmup_steps": 5},
    "batch_size": 8,
    "steps": 6,
    "threads": 1,
    "device": "cpu",
    "checkpoint_every_steps": 2,
}


@pytest.fixture
def tiny() -> Any:
    """A configuration of seconds; keys given are laid over it."""

    def build(**over: Any) -> TrainConfig:
        return parse_train_config(merged(TINY, over))

    return build


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained run, shared: nothing may write into its folder."""
    run = tmp_path_factory.mktemp("toy") / "run"
    train(parse_train_config(TINY), toy_source(24, 0), run)
    return run


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
