from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.segment.library_classes import (
    LIBRARY_TASKS,
    installed_classes,
    library_classes,
    record,
    recorded_classes,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("system", list(LIBRARY_TASKS))
def test_the_record_equals_the_installed_library(system: str):
    classes = installed_classes(LIBRARY_TASKS[system])
    if not classes:
        pytest.skip("the package TotalSegmentator is not installed here")
    assert recorded_classes(system) == classes


def test_v1_and_v2_give_the_same_name_to_different_values():
    v1, v2 = recorded_classes("totalsegmentator_v1"), recorded_classes("totalsegmentator_v2")
    assert (len(v1), len(v2)) == (104, 117)
    assert v1[7] == v2[52] == "aorta"


def test_the_installed_library_comes_before_the_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    module = ModuleType("totalsegmentator.map_to_binary")
    module.class_map = {"total": {1: "spleen"}, "total_v1": {1: "liver"}}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "totalsegmentator", ModuleType("totalsegmentator"))
    monkeypatch.setitem(sys.modules, "totalsegmentator.map_to_binary", module)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    library_classes.cache_clear()
    assert library_classes("totalsegmentator_v2") == {1: "spleen"}
    library_classes.cache_clear()
    with pytest.raises(ConfigError, match=r"segment.task brain: .*it has total, total_v1"):
        installed_classes("brain")
    written = record(tmp_path)
    assert "TotalSegmentator 9.9" in written[0].read_text(encoding="utf-8")


def test_other_systems_are_refused():
    with pytest.raises(ConfigError, match="class system v3: not one of"):
        library_classes("v3")
