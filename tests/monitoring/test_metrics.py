"""Metrics: the text format of Prometheus, written whole; a dashboard that knows each of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.monitoring.metrics import HELP, Figures, metrics_text, write_metrics

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "fvlm_data" / "monitoring" / "grafana-dashboard.json"
SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*\{([a-z_]+="(?:[^"\\\n]|\\.)*",?)*\} -?[0-9.e+-]+')
FIGURES = Figures(
    store="chests",
    started=1_700_000_000.0,
    now=1_700_000_060.5,
    active=True,
    stages={"ingest": {"accepted": 5, "already settled": 2, "fault:missing_slices": 1}},
    seconds={"ingest": 12.5},
    progress={"ingest": (5, 9)},
    tables={"volumes": 5},
    set_aside={"fault:missing_slices": 1},
    waiting={"study waits for report": 3},
    free_bytes=10**12,
)


def test_figures_are_told_with_help_and_labels():
    lines = metrics_text(FIGURES).splitlines()
    assert 'fvlm_run_active{store="chests"} 1' in lines
    assert 'fvlm_stage_items{store="chests",stage="ingest",outcome="already_settled"} 2' in lines
    assert 'fvlm_set_aside{store="chests",kind="fault",reason="missing_slices"} 1' in lines
    assert 'fvlm_waiting{store="chests",owner="study",waits_for="report"} 3' in lines
    assert 'fvlm_run_update_seconds{store="chests"} 1700000060.5' in lines
    assert not any("fault:missing" in line for line in lines)
    told = {line.split("{")[0] for line in lines if not line.startswith("#")}
    assert told == HELP.keys()
    for name in told:
        assert lines.count(f"# TYPE {name} gauge") == 1


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=20), st.integers(0, 2**40), st.floats(0, 1e12))
def test_any_name_and_number_is_a_sample_of_the_format(name: str, number: int, seconds: float):
    text = metrics_text(
        Figures(
            store=name, started=seconds, now=seconds, active=False, tables={name: number},
            stages={name: {"accepted": number}},
        )
    )  # fmt: skip
    # not splitlines: names may hold other ends of lines than the format's
    for line in text.removesuffix("\n").split("\n"):
        assert line.startswith("# ") or SAMPLE.fullmatch(line), line


def test_the_file_is_whole_and_readable_by_the_collector(tmp_path: Path):
    path = tmp_path / "fvlm.prom"
    write_metrics(path, FIGURES)
    write_metrics(path, FIGURES)
    assert path.read_text() == metrics_text(FIGURES)
    assert [one.name for one in tmp_path.iterdir()] == ["fvlm.prom"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_dashboard_asks_for_metrics_that_are_written():
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    named = {name for expression in asked for name in re.findall(r"fvlm_\w+", expression)}
    assert named == HELP.keys()
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in board["panels"])
