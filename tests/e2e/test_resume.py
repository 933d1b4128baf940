from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fvlm_data.inspect.verify import verify
from fvlm_data.store.tables import Store
from tests.e2e.chain import chain_config, run_chain, snapshot

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "write"),
    [
        pytest.param("ingest", 0, marks=pytest.mark.full),  # before the first volume file
        # volumes written, tables half committed
        pytest.param("ingest", 9, marks=pytest.mark.full),
        pytest.param("segment", 5, marks=pytest.mark.full),
        pytest.param("reports", 1, marks=pytest.mark.full),
        pytest.param("pair", 2, marks=pytest.mark.full),
        pytest.param("split", 0, marks=pytest.mark.full),
        # before the shard's folder is moved in
        pytest.param("shard", 0, marks=pytest.mark.full),
        ("shard", 2),  # arrays and index in place, rows not
    ],
)
def test_killed_run_ends_as_an_undisturbed_one(
    stage: str, write: int, phantom: Path, undisturbed: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    arguments = {"store": str(store), "phantom": str(phantom), "stage": stage, "write": write}
    killed = subprocess.run(
        [sys.executable, "-m", "tests.e2e.killed_run", json.dumps(arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run_chain(chain_config(store, phantom))
    assert snapshot(store) == snapshot(undisturbed)
    assert all(check.passed for check in verify(Store.open(store)))


def test_second_run_does_nothing(phantom: Path, undisturbed: Path) -> None:
    before = snapshot(undisturbed)
    summary = run_chain(chain_config(undisturbed, phantom))
    for stage, counts in summary.stages.items():
        if not stage.startswith("discover"):
            assert counts.get("accepted", 0) + counts.get("set_aside", 0) == 0, stage
    assert snapshot(undisturbed) == before


def test_nothing_is_lost(undisturbed: Path) -> None:
    broken = [check for check in verify(Store.open(undisturbed)) if not check.passed]
    assert broken == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "redone", "maybe"),
    [
        pytest.param(
            {"shard.spacing_mm": [8.0, 8.0, 8.0]}, {"shard"}, set(), marks=pytest.mark.full
        ),
        pytest.param(
            {"pair.template": "Normal {anatomy}."}, {"pair"}, {"shard"}, marks=pytest.mark.full
        ),
        # the volumes stay what they are
        pytest.param({"ingest.min_slices": 6}, {"ingest"}, set(), marks=pytest.mark.full),
    ],
)
def test_a_setting_redoes_only_what_depends_on_it(
    change: dict[str, object], redone: set[str], maybe: set[str], phantom: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    run_chain(chain_config(store, phantom))
    summary = run_chain(chain_config(store, phantom, **change))
    worked = {
        stage
        for stage, counts in summary.stages.items()
        if not stage.startswith("discover")
        and counts.get("accepted", 0) + counts.get("set_aside", 0) > 0
    }
    assert redone <= worked <= redone | maybe


@pytest.mark.full
def test_batches_workers_and_two_runs_at_once_give_the_same(
    phantom: Path, undisturbed: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    script = (
        "import sys, json; from pathlib import Path; from tests.e2e.chain import *\n"
        "if __name__ == '__main__':\n"
        "    run_chain(chain_config(Path(sys.argv[1]), Path(sys.argv[2])))\n"
    )
    runner = tmp_path / "runner.py"
    runner.write_text(script)
    runs = [
        subprocess.Popen(
            [sys.executable, str(runner), str(store), str(phantom)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    errors = [run.communicate(timeout=500)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    assert snapshot(store) == snapshot(undisturbed)
