"""`fvlm-data plan`: what a larger archive will take, from a store of a sample."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json, print_line
from fvlm_data.cli.options import JsonOption, StoreOption, opened_context, resolved_config
from fvlm_data.monitoring.pace import duration

if TYPE_CHECKING:
    from fvlm_data.inspect.capacity.projected import Plan

SHOWN_S = 1.0


def plan(
    store: StoreOption,
    studies: Annotated[int, typer.Option(min=1, help="studies of the archive to plan for")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes; default: as the store's configuration")
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs, where segmentation uses them")] = 1,
    core_hour: Annotated[float, typer.Option(min=0, help="price of an hour of one core")] = 0.0,
    gpu_hour: Annotated[float, typer.Option(min=0, help="price of an hour of one GPU")] = 0.0,
    tb_month: Annotated[float, typer.Option(min=0, help="price of a TB for a month")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """What an archive will take, from the rates that a store of a sample measured."""
    from fvlm_data.inspect.capacity.measured import measured
    from fvlm_data.inspect.capacity.projected import Prices, project

    with one_sentence():
        config = resolved_config(store, None, None, {})
        sample = measured(opened_context(store), config)
        prices = Prices(core_hour, gpu_hour, tb_month)
        made = project(sample, studies, workers or config.execution.workers, gpus, prices)
    if as_json:
        print_json({"sample": sample.studies, **dataclasses.asdict(made)})
        return
    for line in _lines(made, sample.studies):
        print_line(line)


def _lines(made: Plan, sample: int) -> list[str]:
    lines = [
        f"{made.studies} studies with {made.workers} workers and {made.gpus} GPU(s), from the "
        f"rates of {sample}:"
    ]
    for one in made.stages:
        if one.hours * 3600 < SHOWN_S and not one.tasks:
            continue
        spent = (
            f"{one.gpu_hours:.3g} GPU hours"
            if one.gpu_hours
            else f"{one.core_hours:.3g} core hours"
        )
        tasks = f", {one.tasks} tasks" if one.tasks else ""
        lines.append(f"  {one.name:18} {duration(one.hours * 3600):>8}  {spent}{tasks}")
    lines.append(
        f"  {'in all':18} {duration(made.hours * 3600):>8}  longest: {made.bottleneck}; twice the "
        f"workers and GPUs: {duration(made.hours_doubled * 3600)}"
    )
    kinds = ", ".join(f"{name} {_size(size)}" for name, size in made.store_bytes.items())
    total = _size(sum(made.store_bytes.values()))
    lines.append(f"Read from the sources: {_size(made.source_bytes)}; store: {total} ({kinds})")
    if made.cost_once or made.cost_month:
        lines.append(
            f"Cost: {made.cost_once:,.0f} once, {made.cost_month:,.0f} a month for the store"
        )
    return lines


def _size(size: float) -> str:
    for unit, of in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= of:
            return f"{size / of:.3g} {unit}"
    return f"{size / 1e3:.3g} kB"
