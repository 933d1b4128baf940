"""How large a store stays: nights of changed items, killed writers, and a compaction a week.

    python bench/nights.py --nights 1000 --every 100

The number of items stays the same; each night some are made anew and their files get other names,
a killed writer leaves a draft, a run leaves its record. Every seventh night the store is compacted
with nothing to be kept but what is younger than an hour (a retention of R days keeps the waste of
R nights more). The clock goes on a day a night for files; that of the tables' library is the
machine's. Only tables, files and records are real: no image is read.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.identity.vault import Vault
from fvlm_data.run.compaction import compact_store, join_small_files
from fvlm_data.run.config import load_config
from fvlm_data.run.records import Summary, begin, finish
from fvlm_data.store import unused
from fvlm_data.store.commits import settle
from fvlm_data.store.content import owned
from fvlm_data.store.declared import Context, Outcome, Read, Stage
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from schemas import Input, Split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Batch

MB = 1e6
WEEK = 7
FILE_BYTES = 4096
FIRST_NIGHT = dt.datetime(2027, 1, 1, 2, tzinfo=dt.UTC)

STAGE = Stage(
    name="nights",
    version=1,
    settings={},
    tables=("splits",),
    items="SELECT item FROM inputs WHERE kind = 'file'",
    reads=(Read("files", "inputs", by="item", decides=("fingerprint",)),),
    make=lambda batch: _made(batch),
    batch_size=32,
)


def main() -> None:
    """Simulate the nights and print size and files as they go by."""
    arguments = _arguments()
    lines = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        config = load_config(None, (), {"store": f"{scratch}/store"})
        store = Store.create(config.store)
        context = Context(store, Vault.open(Path(scratch, "vault")), "bench")
        for night in range(arguments.nights + 1):
            began = time.perf_counter()
            _night(context, config, night, arguments)
            seconds = time.perf_counter() - began
            if night % arguments.every == 0:
                lines.append(_line(store, night, seconds))
                if not arguments.json:
                    print(_shown(lines[-1]), flush=True)
    if arguments.json:
        print(json.dumps(lines))


def _night(context: Context, config: Config, night: int, arguments: argparse.Namespace) -> None:
    moment = FIRST_NIGHT + dt.timedelta(days=night)
    # files are written now; for whoever looks at their age, it is the night `night`
    real = dt.datetime.now(dt.UTC) + dt.timedelta(days=night)
    unused.now = lambda: real
    run = replace(context, run_id=f"{moment:{unused.RUN_ID_TIME}}-{night:06x}", checked={})
    begin(run, config)
    first = night * arguments.changed
    numbers = range(arguments.items) if night == 0 else range(first, first + arguments.changed)
    changed = [f"se_{number % arguments.items:05d}" for number in numbers]
    rows = [_input(item, night) for item in changed]
    run.store.replace("inputs", [row.token for row in rows], rows, {"kind": "file"})
    for batch in pending(run, STAGE).batches:
        settle(run, STAGE, batch)
        join_small_files(run, {table for table, _ in owned(STAGE)} | {"inputs", "ledger"})
    run.store.write_bytes(f"volumes/00/.killed_{night}.nii.gz.00000000.tmp", bytes(FILE_BYTES))
    finish(run, config, Summary(run.run_id, run.store.url))
    if night % WEEK == WEEK - 1:
        compact_store(run, config, 0)


def _input(item: str, night: int) -> Input:
    return Input(
        kind="file",
        token=f"f_{item}",
        source="hospital",
        item=item,
        fingerprint=f"{night}",
        size_bytes=FILE_BYTES,
        modified_ns=night,
    )


def _made(batch: Batch) -> Iterator[Outcome]:
    for one in batch.inputs:
        content = f"{one.item} {one.rows['files'][0]['fingerprint']} ".encode()
        name = hashlib.sha256(content).hexdigest()[:20]
        row = Split(patient_id=one.item, split="train", source="hash")
        path = f"volumes/{name[:2]}/v_{name}.nii.gz"
        whole = (content * FILE_BYTES)[:FILE_BYTES]
        yield Outcome(one.item, {"splits": [row]}, files={path: whole})


def _line(store: Store, night: int, seconds: float) -> dict[str, float]:
    sizes, files, told = Counter[str](), Counter[str](), {}
    for path, size in store.sizes("").items():
        kind = path.split("/", 1)[0]
        kind = "log" if "/_delta_log/" in path else kind
        sizes[kind] += size
        files[kind] += 1
    for kind in ("tables", "log", "volumes", "runs"):
        told[f"{kind}_mb"], told[f"{kind}_files"] = sizes[kind] / MB, files[kind]
    total = {"mb": sum(sizes.values()) / MB, "files": sum(files.values())}
    return {"night": night, **total, **told, "seconds": seconds}


def _shown(line: dict[str, float]) -> str:
    parts = [
        f"{kind} {line[f'{kind}_mb']:6.2f} MB in {line[f'{kind}_files']:5.0f}"
        for kind in ("tables", "log", "volumes", "runs")
    ]
    return (
        f"night {line['night']:5.0f}: {line['mb']:7.2f} MB in {line['files']:5.0f} files; "
        f"{', '.join(parts)}; {line['seconds']:5.2f} s"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=1000)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--changed", type=int, default=10, help="items made anew a night")
    parser.add_argument("--folder", type=Path, help="where the scratch store lies")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
