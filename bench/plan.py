"""Plans of stages over a settled store of many studies: seconds and peak memory.

Each figure comes from a process of its own, which opens the store and plans one stage (`all`: one
after the other; `status`: the command), nothing being due. The first plan hashes all rows; told
beside it is the median of `--rounds` more, which know the sums of files that have not changed.
Growth is that of these, of the largest store over the smallest, by the study.

    python bench/plan.py --studies 10000 250000 --stages all shard status
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Make the stores, then plan on each in turn."""
    arguments = _arguments()
    if arguments.way == "make":
        from synthetic_store import make_store

        make_store(arguments.folder, arguments.studies[0])
        return
    if arguments.way:
        print(json.dumps(_run(arguments.way, arguments.folder)))
        return
    figures: dict[str, list[tuple[int, float]]] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        for studies in arguments.studies:
            folder = Path(scratch) / str(studies)
            began = time.monotonic()
            # in a process of its own: a child inherits the peak memory of its parent
            _started("--way", "make", "--folder", str(folder), "--studies", str(studies))
            print(f"{studies} studies made in {time.monotonic() - began:.0f} s", flush=True)
            for way in arguments.stages:
                at_first = _measured(way, folder)
                runs = [_measured(way, folder) for _ in range(arguments.rounds)]
                seconds = statistics.median(run["seconds"] for run in runs)
                figures.setdefault(way, []).append((studies, seconds))
                print(
                    f"{way:8} {studies:8} studies {seconds:7.2f} s ("
                    f"{statistics.median(run['cpu_s'] for run in runs):.2f} s of CPU; at first "
                    f"{at_first['cpu_s']:.2f}), peak "
                    f"{max(run['peak_mb'] for run in runs):5.0f} MB ({at_first['peak_mb']:.0f}), "
                    f"{at_first['due']} due",
                    flush=True,
                )
    for way, told in figures.items():
        (few, first), (many, last) = told[0], told[-1]
        if many > few:
            print(f"{way:8} a study, {many} against {few}: {last / many / (first / few):.2f} times")


def _run(way: str, folder: Path) -> dict[str, Any]:
    from fvlm_data.identity.vault import Vault
    from fvlm_data.run.config import load_config
    from fvlm_data.run.stages import build_stages
    from fvlm_data.store.declared import Context
    from fvlm_data.store.planning import outlook, pending
    from fvlm_data.store.tables import Store

    values = {
        "store": str(folder / "store"),
        "segment": {
            "backend": "precomputed",
            "masks": str(folder),
            "classes": "totalsegmentator_v2",
        },
    }
    began = time.monotonic()
    stages = build_stages(load_config(None, (), values))
    context = Context(Store.open(folder / "store"), Vault.open(folder / "vault"), "bench")
    due = 0
    for stage in stages:
        if way == "status":
            due += outlook(context, stage).due
        elif way in ("all", stage.name.split(":")[0]):
            work = pending(context, stage, stages, mend=True)
            due += sum(len(batch) for batch in work.batches) + work.held + len(work.obsolete)
    if way == "status":
        from fvlm_data.run.records import Summary, tally

        tally(context, Summary("bench", context.store.url))
    return {
        "seconds": time.monotonic() - began,
        "cpu_s": time.process_time(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "due": due,
    }


def _measured(way: str, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_started("--way", way, "--folder", str(folder)))
    return told


def _started(*arguments: str) -> str:
    """The last line that this program prints, started anew."""
    command = [sys.executable, __file__, *arguments]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return (ended.stdout.splitlines() or [""])[-1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--stages", nargs="+", default=["all", "shard", "status"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="place of the scratch folder")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
