"""What grows with the archive: CPU a study, a night's few patients, a batch, a commit.

    python bench/scale.py chain --studies 200 800 2000    the whole chain, CPU seconds a study
    python bench/scale.py more --studies 200 800          ten new patients, then a night of none
    python bench/scale.py batch --masks 100 100000        a batch of eight in each stage
    python bench/scale.py commits --commits 2400          a commit, and the read of one item

Patients are phantoms (`fvlm-data phantom`), curated by the commands that a user runs. Each line
ends with the last figure over the first. CPU seconds are those of all processes of a command.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

NEW_PATIENTS = 10
BATCH = 8
MASKS_A_STUDY = 36
LAST = 20


def main() -> None:
    """Measure what was asked for, in a scratch folder."""
    arguments = _arguments()
    ways: dict[str, Callable[[argparse.Namespace, Path], None]] = {
        "chain": _chain,
        "more": _more,
        "batch": _batch,
        "commits": _commits,
    }
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        for way in arguments.ways:
            ways[way](arguments, Path(scratch))


def _chain(arguments: argparse.Namespace, scratch: Path) -> None:
    figures = []
    for studies in arguments.studies:
        folder = scratch / f"chain_{studies}"
        config = _archive(folder, studies)
        cpu, wall = _timed("curate", config)
        figures.append(cpu / studies)
        print(
            f"chain: {studies:6} studies {cpu:8.1f} s of CPU, {wall:8.1f} s; {figures[-1]:.3f} s "
            f"of CPU a study",
            flush=True,
        )
    _told("chain, CPU a study", arguments.studies, figures)


def _more(arguments: argparse.Namespace, scratch: Path) -> None:
    """Ten new patients in each archive, and the night after it."""
    new, idle = [], []
    for studies in arguments.studies:
        folder = scratch / f"more_{studies}"
        config = _archive(folder, studies)
        _timed("curate", config)
        _phantoms(folder / "new", NEW_PATIENTS, seed=1_000_003)
        _join_masks(folder / "old" / "masks", folder / "new" / "masks")
        values = yaml.safe_load(config.read_text())
        config.write_text(yaml.safe_dump({**values, **_inputs(folder / "old", folder / "new")}))
        cpu, wall = _timed("curate", config)
        nights = [_timed("curate", config) for _ in range(arguments.rounds)]
        new.append(cpu)
        idle.append(statistics.median(night[0] for night in nights))
        print(
            f"more: archive of {studies:6} studies, {NEW_PATIENTS} new patients {cpu:6.1f} s of "
            f"CPU, {wall:6.1f} s; a night of none {idle[-1]:5.2f} s of CPU, "
            f"{statistics.median(night[1] for night in nights):5.2f} s",
            flush=True,
        )
    _told("ten new patients, CPU", arguments.studies, new)
    _told("a night of none, CPU", arguments.studies, idle)


def _batch(arguments: argparse.Namespace, scratch: Path) -> None:
    """A batch of eight items in each stage, in stores of more and more other studies."""
    from synthetic_store import write_studies

    from fvlm_data.run.config import load_config
    from fvlm_data.run.records import open_context
    from fvlm_data.run.stages import build_stages
    from fvlm_data.store.commits import settle, unsettle
    from fvlm_data.store.declared import Item
    from fvlm_data.store.planning import pending

    path = _archive(scratch / "batch", BATCH)
    _timed("curate", path)
    config = load_config(path, (), {})
    context = open_context(config, "bench", create=False)
    stages = build_stages(config)
    due: dict[str, list[Item]] = {}
    for stage in stages:
        ids = context.store.read("ledger", ["item"], [("stage", "=", stage.name)])["item"]
        unsettle(context, stage.name, ids.to_pylist())
        due[stage.name] = list(pending(context, stage, stages).batches[0][:BATCH])
        settle(context, stage, due[stage.name])
    figures: dict[str, list[float]] = {stage.name: [] for stage in stages}
    there = 0
    for masks in arguments.masks:
        studies = max(1, masks // MASKS_A_STUDY)
        write_studies(context, there, studies)
        there = studies
        for stage in stages:
            seconds = []
            for _ in range(arguments.rounds):
                unsettle(context, stage.name, [item.id for item in due[stage.name]])
                began = time.process_time()
                settle(context, stage, due[stage.name])
                seconds.append(time.process_time() - began)
            figures[stage.name].append(statistics.median(seconds))
    for name, cpu in figures.items():
        told = ", ".join(f"{seconds:.2f} s" for seconds in cpu)
        print(f"batch: {name:14} {told} of CPU", flush=True)
        _told(f"batch of {name}", arguments.masks, cpu)


def _commits(arguments: argparse.Namespace, scratch: Path) -> None:
    """The first commits of one item and those after so many, and the read of one item.

    As in a run, small files are joined when there are many; a commit bears its share of that.
    """
    from fvlm_data.store.tables import Store
    from fvlm_data.store.upkeep import join_small_files
    from schemas import LedgerRow

    store = Store.create(scratch / "commits")
    commit, read, joined = [], [], 0.0
    for number in range(arguments.commits + LAST):
        row = LedgerRow(
            stage="shard",
            item=hashlib.md5(str(number).encode()).hexdigest(),
            key="",
            outcome="accepted",
            content="",
            parts="",
            run_id="bench",
        )
        began = time.perf_counter()
        store.replace("ledger", [row.item], [row], {"stage": row.stage})
        between = time.perf_counter()
        found = store.read("ledger", None, [("item", "=", row.item)])
        ended = time.perf_counter()
        assert found.num_rows == 1
        join_small_files(store, "ledger")
        joined += time.perf_counter() - ended
        commit.append(between - began)
        read.append(ended - between)
    joined /= len(commit)
    for name, seconds in (("commit", commit), ("read of one item", read)):
        first, last = (statistics.median(part) for part in (seconds[:LAST], seconds[-LAST:]))
        print(
            f"commits: {name} {1000 * first:.1f} ms at first, {1000 * last:.1f} ms after "
            f"{arguments.commits}: {last / first:.2f} times",
            flush=True,
        )
    print(f"commits: joining small files {1000 * joined:.1f} ms a commit", flush=True)


def _archive(folder: Path, studies: int) -> Path:
    """Phantoms and a configuration that curates them; returns its path."""
    _phantoms(folder / "old", studies, seed=7)
    values = {
        "store": str(folder / "store"),
        "identity": {"vault": str(folder / "vault")},
        "pair": {"split": {"train": 0.6, "validation": 0.0, "test": 0.4}},
        "shard": {"spacing_mm": [4.0, 4.0, 5.0], "hu_window": [-1150, 350], "dtype": "uint8"},
        "execution": {"workers": 1},
        **_inputs(folder / "old"),
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(values))
    return config


def _inputs(*phantoms: Path) -> dict[str, Any]:
    """Sections of the configuration that name what is read."""
    first = phantoms[0]
    return {
        "sources": [
            {"kind": "dicom", "path": str(one / "dicom"), "name": one.name} for one in phantoms
        ],
        "reports": [
            {"path": str(one / f"reports_{part}.csv"), "name": f"{one.name} {part}"}
            for one in phantoms
            for part in ("chest", "abdomen")
        ],
        "segment": {
            "backend": "precomputed",
            "masks": str(first / "masks" / "manifest.csv"),
            "classes": str(first / "masks" / "classes.yaml"),
        },
    }


def _join_masks(masks: Path, new: Path) -> None:
    """Move label maps beside others, and their lines into the others' manifest."""
    lines = (new / "manifest.csv").read_text().splitlines(keepends=True)[1:]
    for path in new.glob("*.nii.gz"):
        shutil.move(path, masks / path.name)
    with (masks / "manifest.csv").open("a") as manifest:
        manifest.writelines(lines)


def _phantoms(folder: Path, patients: int, seed: int) -> None:
    _command("phantom", str(folder), "--patients", str(patients), "--seed", str(seed))


def _timed(command: str, config: Path) -> tuple[float, float]:
    """CPU seconds of all its processes, and seconds, that a command takes."""
    before, began = _cpu(), time.perf_counter()
    _command(command, str(config))
    return _cpu() - before, time.perf_counter() - began


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _command(*arguments: str) -> None:
    subprocess.run(
        [Path(sys.executable).with_name("fvlm-data"), *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _told(name: str, sizes: list[int], figures: list[float]) -> None:
    if len(figures) > 1:
        ratio = figures[-1] / figures[0]
        print(f"{name}: {sizes[-1]} beside {sizes[0]}: {ratio:.2f} times", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ways", nargs="+", choices=["chain", "more", "batch", "commits"])
    parser.add_argument("--studies", type=int, nargs="+", default=[200, 800])
    parser.add_argument("--masks", type=int, nargs="+", default=[100, 100_000])
    parser.add_argument("--commits", type=int, default=2400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="place of the scratch folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
