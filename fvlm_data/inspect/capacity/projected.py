"""The arithmetic of a larger archive: hours, bytes, tasks and cost, from rates of a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fvlm_data.inspect.capacity.measured import Sample, StageRate

HOUR_S = 3600.0
TB = 1e12


@dataclass(frozen=True, slots=True)
class Prices:
    """What the user pays, in any one currency: an hour of a core, of a GPU, a TB and month."""

    core_hour: float = 0.0
    gpu_hour: float = 0.0
    tb_month: float = 0.0


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What a stage will take: hours by the clock, of cores, of GPUs, and tasks (batches)."""

    name: str
    hours: float
    core_hours: float
    gpu_hours: float
    tasks: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What an archive of so many studies will take with so many workers and GPUs.

    `bottleneck` is the stage that takes longest; `hours_doubled` is the time with twice the
    workers and GPUs. Bytes are those of what stays: `store_bytes` by kind.
    """

    studies: int
    workers: int
    gpus: int
    stages: tuple[StagePlan, ...]
    hours: float
    hours_doubled: float
    bottleneck: str
    source_bytes: float
    store_bytes: dict[str, float]
    cost_once: float
    cost_month: float


def project(sample: Sample, studies: int, workers: int, gpus: int, prices: Prices) -> Plan:
    """The plan of an archive, each stage linear in studies and shared evenly among workers.

    What is one process's work stays so, whatever the workers; a stage on a GPU is shared among
    GPUs.
    """
    stages = tuple(_stage(one, studies, workers, gpus) for one in sample.stages)
    doubled = sum(_stage(one, studies, 2 * workers, 2 * gpus).hours for one in sample.stages)
    store_bytes = {name: size * studies for name, size in sample.store_bytes.items()}
    return Plan(
        studies,
        workers,
        gpus,
        stages,
        sum(one.hours for one in stages),
        doubled,
        max(stages, key=lambda one: one.hours).name,
        sample.source_bytes * studies,
        store_bytes,
        sum(one.core_hours * prices.core_hour + one.gpu_hours * prices.gpu_hour for one in stages),
        sum(store_bytes.values()) / TB * prices.tb_month,
    )


def _stage(rate: StageRate, studies: int, workers: int, gpus: int) -> StagePlan:
    alone_s = rate.study_s * studies * max(1, rate.workers)
    shares = gpus if rate.on_gpu else workers if rate.workers else 1
    hours = (rate.fixed_s + alone_s / shares) / HOUR_S
    tasks = -(-round(rate.items * studies) // rate.batch_size)
    spent = (rate.fixed_s + alone_s) / HOUR_S
    return StagePlan(
        rate.name, hours, 0.0 if rate.on_gpu else spent, spent if rate.on_gpu else 0.0, tasks
    )
