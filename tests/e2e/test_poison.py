"""Inputs that hang, crash or eat the memory of who reads them: neighbours are as if they were not.

What is deadly, and how, is told to the processes of a run by `tests/isolation/hook`.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from fvlm_data.inspect.verify import verify
from fvlm_data.store.tables import Store
from tests.e2e.chain import chain_config, snapshot

ROOT = Path(__file__).resolve().parents[2]
HOOK = ROOT / "tests" / "isolation" / "hook"
PLACES = ("header", "pixels", "mask", "report")
REASONS = {"hang": "timed_out", "crash": "crashed", "eat": "out_of_memory"}
LIMITS = {
    # an item waits for libraries, and the first report for the parser, on a busy machine too
    "discover": {"seconds": 30, "memory_mb": 900},
    "ingest": {"seconds": 40, "memory_mb": 1500},
    "segment": {"seconds": 40, "memory_mb": 1500},
    "reports": {"seconds": 60, "memory_mb": 3000},
}


@pytest.fixture(scope="session")
def marks(phantom: Path) -> dict[str, str]:
    """By place the mark of one input, each of another series."""
    series = sorted(phantom.glob("dicom/*/*/*"))
    stacks = [folder for folder in series if len(list(folder.iterdir())) > 1]
    uids = sorted(path.name.removesuffix(".nii.gz") for path in phantom.glob("masks/*.nii.gz"))
    header = next(iter(sorted(stacks[0].iterdir())))
    others = [uid for uid in uids if uid != _uid(header)]
    return {
        "header": header.relative_to(phantom / "dicom").as_posix(),
        "pixels": others[0],
        "mask": others[-1],
        "report": _word_of_one(phantom),
    }


def _uid(path: Path) -> str:
    import pydicom

    return str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)


def _word_of_one(phantom: Path) -> str:
    """A word that stands in one report only."""
    words: Counter[str] = Counter()
    for path in sorted(phantom.glob("reports_*.csv")):
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                texts = [t for name, t in row.items() if "UID" not in name and "Acc" not in name]
                words.update({w for w in " ".join(texts).split() if w.isalpha() and len(w) > 5})
    return min(word for word, reports in words.items() if reports == 1)


def poisoned(deeds: dict[str, str], marks: dict[str, str]) -> dict[str, str]:
    """What to add to the environment of a run."""
    path = os.pathsep.join([str(HOOK), str(ROOT)])
    poison = {place: [deed, marks[place]] for place, deed in deeds.items()}
    return {"FVLM_TEST_POISON": json.dumps(poison), "PYTHONPATH": path}


def assert_neighbours_stand(
    found: dict[str, list[str]], clean: dict[str, list[str]], lacking: dict[str, int]
) -> None:
    """Rows are those of a run without poison, less those of `lacking` items by table."""
    of = {"volumes": "volume_id", "masks": "volume_id", "reports": "report_id"}
    for table, missing in lacking.items():
        assert set(found[table]) <= set(clean[table]), table
        items = [{json.loads(row)[of[table]] for row in rows[table]} for rows in (found, clean)]
        assert len(items[1] - items[0]) == missing, table


EXECUTORS = {
    "one process": {"header": "hang", "pixels": "crash", "mask": "eat", "report": "crash"},
    "pool": {"header": "crash", "pixels": "eat", "mask": "hang", "report": "eat"},
    "flow": {"header": "eat", "pixels": "hang", "mask": "crash", "report": "hang"},
}


@pytest.mark.full
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_poison_of_every_kind_in_every_executor(
    executor: str,
    phantom: Path,
    undisturbed: Path,
    shared_vault: Path,
    marks: dict[str, str],
    tmp_path: Path,
) -> None:
    deeds = EXECUTORS[executor]
    workers = 1 if executor == "one process" else 2
    changes = {"execution.limits": LIMITS, "execution.workers": workers}
    config = chain_config(tmp_path / "store", phantom, **changes)
    path = tmp_path / "curate.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_none=True)))
    flow = executor == "flow"
    module, command = ("pipelines", "run") if flow else ("fvlm_data", "curate")
    script = f"from {module}.cli{'' if flow else '.main'} import main; main()"

    def run(*arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env={
                "FVLM_VAULT": str(shared_vault),
                "HOME": str(tmp_path),
                "PATH": os.environ["PATH"],
                "PREFECT_HOME": str(tmp_path / "prefect"),
                "PYTHONPATH": str(ROOT),
                **environment,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(command, str(path), **poisoned(deeds, marks))
    clean, found = snapshot(undisturbed), snapshot(tmp_path / "store")
    reasons = Counter(json.loads(row)["reason"] for row in found["quarantine"])
    wanted = Counter(REASONS[deeds[place]] for place in PLACES)
    assert {reason: reasons[reason] for reason in wanted} == wanted
    assert_neighbours_stand(found, clean, {"volumes": 2, "masks": 3, "reports": 1})
    assert all(check.passed for check in verify(Store.open(tmp_path / "store")))
    if not flow:
        told = run("status", "--set-aside", "--store", str(tmp_path / "store"))
        assert told.count("twice and alone") == len(PLACES)
        assert "--retry" in told

    run(command, str(path), "--retry")
    assert snapshot(tmp_path / "store", placement=False) == snapshot(undisturbed, placement=False)
