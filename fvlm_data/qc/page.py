"""The first page: figures of the whole store, and lists that can be filtered."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fvlm_data.qc.assets import INDEX_SCRIPTS, INDEX_STYLES
from fvlm_data.qc.figures import VOLUMES_MEASURED
from fvlm_data.qc.png import data_url
from fvlm_data.qc.templating import filled
from fvlm_data.qc.thumbnails import colour_of
from schemas.anatomy_texts import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.qc.catalogue import Catalogue
    from fvlm_data.qc.figures import Figures, Spread
    from fvlm_data.qc.templating import Served
    from fvlm_data.qc.thumbnails import Thumbnail

AXIS_PIXELS = 460
AXIS_ML = (0.1, 10_000.0)

LOST_BEFORE = {
    "volumes": ("discover", "ingest", "select"),
    "studies with a report": ("discover_reports", "versions", "match", "reports"),
    "samples": ("discover_masks", "segment", "split", "pair", "shard"),
}
"""Stages that set things aside before each step of the funnel."""


def render(
    store_id: str,
    run_id: str,
    figures: Figures,
    catalogue: Catalogue,
    thumbnails: Sequence[Thumbnail],
    served: Served | None = None,
) -> str:
    """The page as HTML text; `served` is of a page that a server makes."""
    return filled(
        "index.html",
        served=served,
        store=store_id,
        run=run_id,
        figures=figures,
        funnel=_funnel(figures),
        reports=_bars(figures.reports),
        state_names=STATES,
        states=_states(figures),
        spreads=[(spread, _places(spread)) for spread in figures.spreads],
        axis=AXIS_PIXELS,
        measured=VOLUMES_MEASURED,
        checks=(
            ("body region", figures.regions),
            ("contrast", figures.contrasts),
            ("flag", figures.flags),
        ),
        pictures=[(one, data_url(one.png) if one.png else None) for one in thumbnails],
        outlined=[
            (anatomy, "#{:02x}{:02x}{:02x}".format(*colour_of(anatomy)))
            for anatomy in sorted({a for picture in thumbnails for a in picture.anatomies})
        ],
        catalogue=asdict(catalogue),
        styles=INDEX_STYLES,
        scripts=INDEX_SCRIPTS,
    )


def _bars(counts: Sequence[tuple[str, int]]) -> list[tuple[str, int, float]]:
    """Name, count and length in percent, on a root scale: few samples of many files are seen."""
    most = max((count for _, count in counts), default=0) or 1
    return [(name, count, round(100 * math.sqrt(count / most), 1)) for name, count in counts]


def _funnel(figures: Figures) -> list[dict[str, Any]]:
    """Steps from files to samples, each with what stages before it set aside.

    A stage that no step names, a package's, counts with the last.
    """
    named = {stage for stages in LOST_BEFORE.values() for stage in stages}
    steps = []
    for name, count, percent in _bars(figures.images):
        stages = LOST_BEFORE.get(name, ())
        lost = [
            one
            for one in figures.set_aside
            if (base := one.stage.partition(":")[0]) in stages
            or (name == "samples" and base not in named)
        ]
        steps.append({"name": name, "count": count, "percent": percent, "lost": lost})
    return steps


def _states(figures: Figures) -> list[dict[str, Any]]:
    """Studies by state of each anatomy, as counts and percentages."""
    rows = []
    for anatomy, counts in figures.states.items():
        total = sum(counts.values())
        shares = [(state, counts.get(state, 0)) for state in STATES]
        rows.append(
            {
                "anatomy": anatomy,
                "total": total,
                "shares": [(state, n, 100 * n / total) for state, n in shares],
            }
        )
    return rows


def _places(spread: Spread) -> list[float]:
    """Pixels along the axis of the percentiles."""
    return [_place(ml) for ml in spread.percentiles_ml]


def _place(ml: float) -> float:
    """Pixels along the logarithmic axis."""
    low, high = (math.log10(bound) for bound in AXIS_ML)
    share = (math.log10(max(ml, AXIS_ML[0])) - low) / (high - low)
    return round(min(1.0, max(0.0, share)) * AXIS_PIXELS, 1)
