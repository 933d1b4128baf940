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
from fvlm_data.run.layers import merged
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


def on_two_ranks(config: Any, run: Path, script: Path) -> None:
    script.write_text(SCRIPT)
    repository = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(script), config.model_dump_json(), str(run)],
        check=True, env=os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
        capture_output=True, timeout=300,
    )  # fmt: skip


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
    # of the 4 samples of each rank; alone it is the whole batch
    config = config.model_copy(
        update={"compute": config.compute.model_copy(update={"micro_batch": micro_batch})}
    )
    on_two_ranks(config, tmp_path / "two", tmp_path / "script.py")
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


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_ranks_that_share_the_weights_train_as_one_process_and_go_on(
    tiny: Any, tmp_path: Path, clip_norm: float | None
) -> None:
    """FSDP2 on CPUs by gloo: losses, gradients, weights, and checkpoints of one format.

    Of the queries of three anatomies the ranks have shares of unequal size.
    """
    still = {"image": {"dropout": 0.0}, "text": {"dropout": 0.0}, "pooling_dropout": 0.0}
    config = tiny(
        model=still,
        loss={"prompts": {"weight": 2.0, "least_positives": 2}},
        optimiser={"clip_norm": clip_norm},
        compute={"parallel": "fsdp2"},
        steps=6,
    )
    short = config.model_copy(update={"time_limit_s": 1e-6})
    one, two = tmp_path / "one", tmp_path / "two"
    train(config, toy_source(20, 0), one, findings=TOY_FINDINGS)
    # stopped after its first step, gone on with alone, then by both ranks again
    on_two_ranks(short, two, tmp_path / "script.py")
    train(short, toy_source(20, 0), two, findings=TOY_FINDINGS)
    begun = load_checkpoint(two)
    assert begun is not None
    assert begun.step == 2
    on_two_ranks(config, two, tmp_path / "script.py")
    lines = [
        [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        for run in (one, two)
    ]
    for key in ("loss", "gradient_norm", "prompt_loss", "temperature"):
        alone, shared = ([line[key] for line in log] for log in lines)
        assert shared == pytest.approx(alone, rel=1e-4)
    first, second = load_checkpoint(one), load_checkpoint(two)
    assert first is not None
    assert second is not None
    assert first.model.keys() == second.model.keys()
    for name, weight in first.model.items():
        torch.testing.assert_close(second.model[name], weight, atol=2e-3, rtol=1e-2)
    for number, of_weight in first.optimiser["state"].items():
        for name, value in of_weight.items():
            found = second.optimiser["state"][number][name]
            assert type(found) is type(value)
            torch.testing.assert_close(found, value, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"precision": "float16"}, "goes without precision: float16"),
        ({"average": {"decay": 0.9}}, r"goes without average\.decay"),
        ({"validation": {"every_steps": 1}}, r"goes without validation\.every_steps"),
        ({"loss": {"correction": {"kind": "momentum"}}}, r"goes without loss\.correction"),
        ({"compute": {"micro_batch": 2}}, "goes without micro_batch and compile"),
    ],
)
def test_what_needs_the_whole_model_on_a_rank_is_refused_beside_shares(
    tiny: Any, over: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        tiny(**merged({"compute": {"parallel": "fsdp2"}}, over))
