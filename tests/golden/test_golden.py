"""What a stage makes changes only together with its version: the version is in every key."""

from __future__ import annotations

from typing import Any

import pytest

from tests.golden.corpus import read_golden, settle, told

HINT = "`python -m tests.golden.remake` writes tests/golden/stages.json anew"


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return told(settle(tmp_path_factory.mktemp("golden")))


def test_the_corpus_exercises_every_stage(now: dict[str, dict[str, Any]]):
    assert now.keys() == read_golden().keys()
    assert len({one["digest"] for one in now.values()}) == len(now)


@pytest.mark.slow
@pytest.mark.parametrize("stage", read_golden())
def test_rows_of_a_stage_change_only_with_its_version(now: dict[str, dict[str, Any]], stage: str):
    golden, current = read_golden()[stage], now[stage]
    if current["version"] == golden["version"]:
        assert current["digest"] == golden["digest"], (
            f"stage {stage}: what it makes has changed and its version {golden['version']} has "
            f"not: stores would mix rows of two programs; raise the version, then {HINT}"
        )
    else:
        pytest.fail(f"stage {stage}: version {current['version']} has no digest yet: {HINT}")
