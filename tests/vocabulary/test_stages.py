"""What an overlay changes in the stages, and that it is looked at before a run starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.stages import build_stages, stage_names

SYSTEM = "systems: {ours: {}}\n"


def configured(tmp_path: Path, name: str = "words", **files: str) -> Config:
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    for file, text in files.items():
        (folder / f"{file}.yaml").write_text(text, encoding="utf-8")
    values: dict[str, Any] = {
        "store": str(tmp_path / "store"),
        "identity": {"vault": str(tmp_path / "vault")},
        "vocabulary": {"overlay": str(folder)},
    }
    return load_config(None, (), values)


def settings(config: Config) -> dict[str, Any]:
    return {stage.name: dict(stage.settings) for stage in build_stages(config)}


@pytest.mark.parametrize(
    ("file", "text", "changed"),
    [
        ("cues", "normal: {add: [hale]}\n", {"reports"}),
        ("versions", "withdrawn: {add: [report void]}\n", {"versions", "reports", "pair"}),
        ("pairing", 'normal: "{anatomy} is fine."\n', {"pair"}),
        ("segmentation", "anatomies: {lung: {totalsegmentator_v2: {add: [x]}}}\n",
         {"segment:threshold", "pair", "shard"}),
        ("segmentation", SYSTEM, {"pair"}),
        ("lists", "ours: [liver_cyst]\n", set()),
    ],
)  # fmt: skip
def test_an_edit_is_in_the_keys_of_those_who_read_it(
    tmp_path: Path, file: str, text: str, changed: set[str]
):
    before = settings(configured(tmp_path))
    after = settings(configured(tmp_path, **{file: text}))
    assert {name for name in before if before[name] != after[name]} == changed


def test_the_place_of_an_overlay_is_in_no_key(tmp_path: Path):
    words = {"cues": "normal: {add: [hale]}\n"}
    assert settings(configured(tmp_path, "a", **words)) == settings(
        configured(tmp_path, "b", **words)
    )


@pytest.mark.parametrize("stage", ["segment", "versions", "pair", "shard"])
def test_a_faulty_overlay_stops_a_run_before_it_starts(tmp_path: Path, stage: str):
    assert stage in stage_names()
    config = configured(tmp_path, cues="nrmal: [hale]\n")
    with pytest.raises(ConfigError, match=r"vocabulary overlay cues\.yaml, line 1"):
        curate(config, stages=[stage])
    assert not (tmp_path / "store").exists()
