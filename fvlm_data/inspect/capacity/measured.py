"""What a store's runs and files show of one study: time by stage, bytes by kind."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError, StoreError
from fvlm_data.run.stages import build_stages
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store

DISCOVER = "discover "
"""What a stage's time of looking through its sources is called in the record of a run."""

OPENS_IN_WORKERS = "discover ingest"
"""The look that opens each file; the others read lists, in one process."""

FOLDERS = ("volumes", "masks", "shards", "tables")
"""What grows with studies; pages, records of runs and leases do not, or by little."""


@dataclass(frozen=True, slots=True)
class StageRate:
    """What a stage took: seconds whatever it had to do, and more for each study.

    `workers` ran it in parallel, 0 where it is one process's work; `items` are those of it in one
    study, `batch_size` the items of a task. `on_gpu`: it works on a GPU, whose time it is.
    """

    name: str
    fixed_s: float
    study_s: float
    workers: int
    items: float
    batch_size: int
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """What one store measured: of how many studies, by stage, and bytes a study by kind."""

    studies: int
    stages: tuple[StageRate, ...]
    source_bytes: float
    store_bytes: dict[str, float]


@dataclass(slots=True)
class _Times:
    """Of one stage: seconds of runs in which it had nothing to do, and of those in which it had."""

    idle_s: list[float]
    busy: list[tuple[int, float]]
    workers: int = 1


def measured(context: Context, config: Config) -> Sample:
    """What the runs of a store took and what it holds, by study. All files are listed.

    Raises:
        InputError: no run has settled a study yet.
        StoreError: a table or a record is damaged.
    """
    relations = Relations(context.store)
    ((studies,),) = relations.rows("SELECT count(DISTINCT study_id) FROM volumes")
    times = _times(_records(context.store))
    if not studies or not any(one.busy for one in times.values()):
        raise InputError(
            f"store {context.store.url}: no run has made a volume yet; expected a store of a "
            "sample, a hundred studies say: run `fvlm-data curate` on it first"
        )
    ((source_bytes,),) = relations.rows(
        "SELECT coalesce(sum(size_bytes), 0) FROM inputs WHERE kind IN ('file', 'mask')"
    )
    return Sample(
        studies,
        tuple(_rates(times, config, studies)),
        source_bytes / studies,
        {name: total / studies for name, total in _bytes(context.store).items()},
    )


def _records(store: Store) -> list[dict[str, Any]]:
    made = []
    for path in sorted(path for path in store.files("runs") if path.endswith(".json")):
        try:
            made.append(dict(json.loads(store.read_bytes(path))))
        except ValueError as error:
            raise StoreError(
                f"store {store.url}: {path} is damaged, expected the record of a run; remove it"
            ) from error
    return [record for record in made if record.get("finished")]


def _times(records: Sequence[dict[str, Any]]) -> dict[str, _Times]:
    times: dict[str, _Times] = defaultdict(lambda: _Times([], []))
    for record in records:
        workers = int(record["configuration"].get("execution", {}).get("workers", 1))
        for name, seconds in record.get("stage_seconds", {}).items():
            counts = record.get("stages", {}).get(name) or {}
            done = counts.get("accepted", 0) + counts.get("set_aside", 0)
            stage = times[name]
            stage.workers = workers
            if done:
                stage.busy.append((done, seconds))
            else:
                stage.idle_s.append(seconds)
    return times


def _rates(times: dict[str, _Times], config: Config, studies: int) -> Iterator[StageRate]:
    batch_sizes: dict[str, int] = {}
    for stage in build_stages(config):
        name = stage.name.split(":", 1)[0]
        batch_sizes[name] = max(batch_sizes.get(name, 1), stage.batch_size)
    for name, took in times.items():
        looks = name.startswith(DISCOVER)
        fixed = 0.0 if looks else median(took.idle_s or [0.0])
        done = sum(number for number, _ in took.busy)
        # a look at the sources sees all of them each time: the longest is that of all studies
        seconds = (
            max((one for _, one in took.busy), default=max(took.idle_s, default=0.0))
            if looks
            else sum(max(0.0, one - fixed) for _, one in took.busy)
        )
        yield StageRate(
            name,
            fixed,
            seconds / studies,
            took.workers if not looks or name == OPENS_IN_WORKERS else 0,
            0.0 if looks else done / studies,
            batch_sizes.get(name, 1),
            on_gpu=name == "segment"
            and config.segment.backend == "totalsegmentator"
            and config.segment.device.startswith("gpu"),
        )


def _bytes(store: Store) -> dict[str, int]:
    total = dict.fromkeys(FOLDERS, 0)
    for path, size in store.sizes("").items():
        folder = path.split("/", 1)[0]
        if folder in total:
            total[folder] += size
    return total
