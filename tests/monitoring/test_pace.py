"""Rate and time left, in words that a person reads at a glance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.monitoring.pace import duration, pace, rate


@pytest.mark.parametrize(
    ("done", "total", "seconds", "told"),
    [
        (0, 10, 60.0, ""),
        (5, 10, 0.0, ""),
        (10, 40, 60.0, ", 10 a minute, 3 min left"),
        (90, 100, 30.0, ", 3 a second, 3 s left"),
        (1, 1000, 1800.0, ", 2 an hour, 21 d left"),
        (10, 10, 5.0, ", 2 a second"),
    ],
)
def test_pace(done: int, total: int, seconds: float, told: str):
    assert pace(done, total, seconds) == told


@given(st.floats(1e-9, 1e9))
def test_every_rate_and_duration_is_short_and_of_a_unit(number: float):
    assert len(rate(number)) < 24
    assert rate(number).split(" ", 1)[1] in ("a second", "a minute", "an hour", "a day")
    assert duration(number).split(" ")[1] in ("s", "min", "h", "d")
