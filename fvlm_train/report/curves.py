"""Curves of a run: RUN/curves.png, and RUN/curves.html, which needs no network."""

from __future__ import annotations

import html
import io
import json
from typing import TYPE_CHECKING, Any

from fvlm_train.report.table import TABLE
from fvlm_train.runs import LOG

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE, PAGE = "curves.png", "curves.html"
SMOOTHED_POINTS = 60
"""A curve is a running mean over a part of the steps so small that so many parts are left."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito (2008): told apart by colour-blind people, too."""


def write_curves(run: Path, anatomies: Sequence[str]) -> None:
    """Write picture and page from the run's log; nothing if it has no step."""
    lines = [json.loads(line) for line in (run / LOG).read_text(encoding="utf-8").splitlines()]
    if not lines:
        return
    figure = _drawn(lines, anatomies)
    figure.savefig(run / PICTURE, dpi=110)
    svg = io.StringIO()
    # without a date, so that the same log gives the same page
    figure.savefig(svg, format="svg", metadata={"Date": None})
    (run / PAGE).write_text(_page(run.name, lines, svg.getvalue()), encoding="utf-8")


def _drawn(lines: list[dict[str, Any]], anatomies: Sequence[str]) -> Figure:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # ids of the parts of a drawing are random otherwise
    mpl.rcParams["svg.hashsalt"] = "fvlm"
    figure = Figure(figsize=(11, 9), layout="constrained")
    places = figure.subplots(3, 2).ravel()
    steps = [line["step"] for line in lines]
    losses = {"sum over anatomies": [line["loss"] for line in lines]}
    if any(line.get("prompt_loss") is not None for line in lines):
        losses["labels through prompts"] = [line.get("prompt_loss") for line in lines]
    _curves(places[0], "Loss", steps, losses)
    by_anatomy = {one: [line["losses"].get(one) for line in lines] for one in anatomies}
    _curves(places[1], "Loss of each anatomy", steps, by_anatomy)
    for place, (title, column) in zip(
        places[2:5],
        (
            ("Norm of the gradient", "gradient_norm"),
            ("Learning rate", "learning_rate"),
            ("Temperature", "temperature"),
        ),
        strict=True,
    ):
        _curves(place, title, steps, {title: [line.get(column) for line in lines]})
    seconds = {
        "step": [line["time_s"] for line in lines],
        "wait for its batch": [line.get("wait_s") for line in lines],
    }
    _curves(places[5], "Seconds", steps, seconds)
    return figure


def _curves(
    axes: Axes, title: str, steps: list[int], series: dict[str, list[float | None]]
) -> None:
    """Running means of each series; steps without a value are passed over."""
    for number, (name, values) in enumerate(series.items()):
        known = [(s, v) for s, v in zip(steps, values, strict=True) if v is not None]
        if not known:
            continue
        width = max(len(known) // SMOOTHED_POINTS, 1)
        style = "-" if number < len(COLOURS) else "--"
        parts = [known[at : at + width] for at in range(0, len(known), width)]
        axes.plot(
            [sum(s for s, _ in part) / len(part) for part in parts],
            [sum(v for _, v in part) / len(part) for part in parts],
            style,
            color=COLOURS[number % len(COLOURS)],
            label=name.replace("_", " "),
            linewidth=1.4,
        )
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if len(series) > 1 and axes.lines:
        axes.legend(fontsize=7, frameon=False, ncols=1 + len(series) // 9)


def _page(name: str, lines: list[dict[str, Any]], svg: str) -> str:
    last = lines[-1]
    drawing = svg[svg.index("<svg") :]
    loss = "none" if last["loss"] is None else f"{last['loss']:.3f}"
    spent = sum(line["time_s"] for line in lines)
    waited = sum(line.get("wait_s") or 0.0 for line in lines)
    share = waited / (spent + waited) if spent + waited else 0.0
    told = (
        f"{last['step']} steps in {spent + waited:.0f} s, {share:.0%} of it waiting for batches; "
        f"last loss {loss}"
    )
    title = html.escape(f"Training {name}")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #222; background: #fff }}
svg {{ width: 100%; height: auto; background: #fff }}
</style></head>
<body><h1>{title}</h1><p>{html.escape(told)}.</p>
<figure role="img" aria-label="Curves of loss, gradient, learning rate, temperature and seconds">
{drawing}</figure>
<p>Each curve is a running mean; every step stands in <a href="{TABLE}">{TABLE}</a>.</p>
</body></html>
"""
