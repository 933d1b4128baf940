from __future__ import annotations

import logging
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import ConfigError
from fvlm_data.run import sections
from fvlm_data.run.config import load_config
from fvlm_data.run.sections import OWN, section_model, section_models


class DoseConfig(BaseModel):
    """A section of a foreign package."""

    limit: int = 3


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installed packages that name sections, by section and dotted name."""
    module = ModuleType("dosimetry")
    module.DoseConfig = DoseConfig  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dosimetry", module)

    def install(*entries: tuple[str, str]) -> None:
        made = [EntryPoint(name, value, sections.GROUP) for name, value in entries]
        monkeypatch.setattr(sections, "declared_sections", lambda: tuple(made))

    return install


def test_our_own_sections_are_found_whatever_was_installed_before(named: Any):
    named()
    assert list(section_models()) == ["train", "evaluate"]
    named(*OWN.items())
    assert list(section_models()) == ["train", "evaluate"]


def test_our_own_sections_are_those_of_the_package():
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    block = text.partition(f'[project.entry-points."{sections.GROUP}"]\n')[2].partition("\n\n")[0]
    assert dict(line.replace('"', "").split(" = ") for line in block.splitlines()) == OWN


def test_sections_of_foreign_packages_are_found(named: Any):
    named(("dose", "dosimetry:DoseConfig"))
    assert section_models()["dose"] is DoseConfig


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("nowhere:DoseConfig", "does not load here (ModuleNotFoundError)"),
        ("dosimetry:Nothing", "does not load here (AttributeError)"),
        ("sys:path", "is no pydantic model"),
    ],
)
def test_a_faulty_section_is_named_and_left_out(
    named: Any, caplog: pytest.LogCaptureFixture, value: str, told: str
):
    named(("dose", value))
    with caplog.at_level(logging.WARNING):
        assert list(section_models()) == ["train", "evaluate"]
    assert f"section dose: {value}" in caplog.text
    assert told in caplog.text


def test_two_owners_of_one_section_are_an_error(named: Any):
    named(("train", "dosimetry:DoseConfig"))
    with pytest.raises(ConfigError, match=r"section train: dosimetry:DoseConfig and fvlm_train"):
        section_model("train")
    with pytest.raises(ConfigError, match="section dose: no installed package owns it"):
        section_model("dose")


def test_without_the_trainer_only_its_sections_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fvlm_train.config", None)
    assert load_config(None, (), {"store": "s", "train": {}, "evaluate": None}).train == {}
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["train.preset=small"], {"store": "s"})
    assert str(caught.value) == (
        "section train: fvlm_train.config:TrainConfig, which owns it, does not load here "
        "(ModuleNotFoundError); install its package anew, or take the section out"
    )


def test_curation_refuses_a_mistyped_key_of_the_trainer(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"store": "s", "train": {"batchsize": 3}}))
    result = CliRunner().invoke(app, ["curate", str(file)])
    assert result.exit_code == 2
    assert "train.batchsize is not a known key (did you mean batch_size?)" in result.stderr
    assert not (tmp_path / "s").exists()
