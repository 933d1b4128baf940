from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fvlm_data.errors import ConfigError
from fvlm_train.runs import load_checkpoint
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.training.checks import check
from fvlm_train.training.train import train

SCRIPT = """
import json, sys
from pathlib import Path
from fvlm_train.config import parse_train_config
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.training.train import train
config = parse_train_config(json.loads(sys.argv[1]))
train(config, toy_source(20, 0), Path(sys.argv[2]), findings=TOY_FINDINGS)
"""


def test_a_batch_that_ranks_cannot_share_is_refused(tiny: Any) -> None:
    with pytest.raises(ConfigError, match="batch_size 8 cannot be shared by 3 ranks"):
        check(tiny(), toy_source(20, 0), world=3)


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize(
    "correction",
    ["none", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("momentum", "co_teaching"))],
)
@pytest.mark.parametrize("micro_batch", [None, 3])
def test_two_processes_train_as_one(
    tiny: Any, tmp_path: Path, correction: str, micro_batch: int | None
) -> None:
    """Features are gathered with their gradient: the split of a batch does not show."""
    image = {"dropout": 0.0, "stem": "histogram"}
    text = {"dropout": 0.0, "pooling": "mean"}
    config = tiny(
        model={"image": image, "text": text, "pooling_dropout": 0.0},
        # so sharp that what a peer or an average says of a pair shows in the loss
        loss={
            "correction": {"kind": correction, "warmup_epochs": 0.5, "temperature": 0.01},
            "prompts": {"weight": 2.0 if correction == "none" else 0.0, "least_positives": 2},
        },
        steps=4,
    )
    train(config, toy_source(20, 0), tmp_path / "one", findings=TOY_FINDINGS)
    script = tmp_path / "script.py"
    # of the 4 samples of each rank; alone it is the whole batch
    config = config.model_copy(
        update={"compute": config.compute.model_copy(update={"micro_batch": micro_batch})}
    )
    script.write_text(SCRIPT)
    arguments = [config.model_dump_json(), str(tmp_path / "two")]
    repository = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(script), *arguments],
        check=True, env=os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
        capture_output=True, timeout=300,
    )  # fmt: skip
    one, two = load_checkpoint(tmp_path / "one"), load_checkpoint(tmp_path / "two")
    assert one is not None
    assert two is not None
    alone, shared = (
        [json.loads(line) for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    )
    for key in ("loss", "peer_loss", "prompt_loss"):
        if alone[0][key] is not None:
            expected = pytest.approx([line[key] for line in alone], rel=1e-4)
            assert [line[key] for line in shared] == expected
    pairs = [line["corrected_pairs"] for line in alone]
    assert pairs == [line["corrected_pairs"] for line in shared]
    assert (sum(pairs) > 0) == (correction != "none")
    for own, other in zip(one.trained, two.trained, strict=True):
        for name, weight in own.model.items():
            torch.testing.assert_close(other.model[name], weight, atol=2e-3, rtol=1e-2)
    for name, weight in (one.text_average or {}).items():
        assert two.text_average is not None
        torch.testing.assert_close(two.text_average[name], weight, atol=2e-3, rtol=1e-2)
