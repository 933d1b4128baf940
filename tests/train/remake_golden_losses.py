"""Remake golden_losses.json after a change that is meant to change the loss.

python tests/train/remake_golden_losses.py
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path

from fvlm_data.run.layers import merged
from fvlm_train.config import parse_train_config
from fvlm_train.testing import toy_source
from fvlm_train.training.train import train

HERE = Path(__file__).parent


def main() -> None:
    """Train 20 steps with the tests' tiny configuration and store the losses."""
    spec = importlib.util.spec_from_file_location("train_conftest", HERE / "conftest.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(HERE / "conftest.py")
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    config = parse_train_config(merged(conftest.TINY, {"steps": 20}))
    losses: list[float | None] = []
    with tempfile.TemporaryDirectory() as folder:
        train(config, toy_source(24, 0), Path(folder), lambda step, _: losses.append(step.loss))
    (HERE / "golden_losses.json").write_text(json.dumps(losses, indent=1) + "\n")


if __name__ == "__main__":
    main()
