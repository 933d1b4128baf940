"""Weights & Biases and MLflow, by the packages themselves, without a network."""

from __future__ import annotations

import getpass
import json
import socket
import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import fvlm_train.tracking.log
from fvlm_data.errors import ConfigError, MissingExtraError
from fvlm_train.config import parse_train_config
from fvlm_train.errors import TrackingError
from fvlm_train.runs import LOG, load_checkpoint
from fvlm_train.testing import toy_source
from fvlm_train.tracking.tracker import told_settings
from fvlm_train.training.steps import Step
from fvlm_train.training.train import train
from tests.lacking import lacking


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every connection of this process but to sockets of this machine's files fails the test."""
    tried: list[Any] = []
    connect = socket.socket.connect

    def refuse(one: socket.socket, address: Any) -> None:
        if one.family == socket.AF_UNIX:
            return connect(one, address)
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert not tried


def needs(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError:
        lacking(f"{package} is not installed (extra [{package}])")


def records(content: bytes) -> Iterator[bytes]:
    """Records of a file of Weights & Biases: LevelDB's log format behind a header of 7 bytes."""
    block, at, parts = 32768, 7, b""
    while at < len(content):
        if block - at % block < 7:  # what no record's head fits in is filled up
            at += block - at % block
        _, size, kind = struct.unpack("<IHB", content[at : at + 7])
        parts += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / LOG).read_text().splitlines()]


def stopped_at(number: int) -> Any:
    def report(step: Step, _: int) -> None:
        if step.step == number:
            raise KeyboardInterrupt

    return report


def interrupted_and_resumed(config: Any, run: Path) -> None:
    """Killed after step 3, of which the checkpoint (step 2) does not know."""
    with pytest.raises(KeyboardInterrupt):
        train(config, toy_source(20, 0), run, stopped_at(3))
    train(config, toy_source(20, 0), run)


def home_told(content: bytes) -> list[str]:
    """What of this machine stands in a file."""
    here = (socket.gethostname() + "/", str(Path.cwd()), str(Path.home()), "patient_0", "sample_0")
    return [one for one in here if one.encode() in content]


@pytest.mark.full
@pytest.mark.usefixtures("no_network")
def test_mlflow_has_every_step_once_in_a_folder_of_the_run(tiny: Any, tmp_path: Path) -> None:
    mlflow = needs("mlflow")
    run = tmp_path / "run"
    config = tiny(steps=4, tracking={"to": ["mlflow"], "project": "abdomen", "name": "first"})
    interrupted_and_resumed(config, run)
    client = mlflow.MlflowClient((run / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("abdomen")
    (made,) = client.search_runs([experiment.experiment_id])
    assert made.info.status == "FINISHED"
    assert made.info.run_name == "first"
    assert made.data.params["optimiser.learning_rate"] == "0.001"
    for tag in ("loss", "learning_rate"):
        history = client.get_metric_history(made.info.run_id, tag)
        expected = [(line["step"], pytest.approx(line[tag])) for line in logged(run)]
        assert [(one.step, one.value) for one in history] == expected
    assert [step for step, _ in expected] == [1, 2, 3, 4]
    tags = {name: value for name, value in made.data.tags.items() if name != "mlflow.runName"}
    assert tags == {}
    assert made.info.user_id != getpass.getuser()


@pytest.mark.full
@pytest.mark.usefixtures("no_network")
def test_wandb_writes_offline_runs_that_tell_nothing_of_this_machine(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "online")
    run = tmp_path / "run"
    interrupted_and_resumed(tiny(steps=4, tracking={"to": ["wandb"]}), run)
    known = json.loads((run / "tracking.json").read_text())["wandb"]
    last = sorted((run / "wandb").glob(f"offline-run-*/run-{known}.wandb"))[-1]
    steps = []
    for content in records(last.read_bytes()):
        record = Record()
        record.ParseFromString(content)
        if record.HasField("history"):
            items = {one.key or one.nested_key[0]: one.value_json for one in record.history.item}
            steps.append((record.history.step.num, json.loads(items["loss"])))
    assert steps == [(line["step"], pytest.approx(line["loss"])) for line in logged(run)]
    assert home_told(last.read_bytes()) == []
    assert not list((run / "wandb").rglob("wandb-metadata.json"))


class Recorder:
    """A tool that fails when asked to."""

    def __init__(self, fails_at: int = 0) -> None:
        self.id, self.fails_at = "r1", fails_at
        self.steps: list[int] = []
        self.closed: list[bool] = []

    def write(self, line: dict[str, Any]) -> None:
        if line["step"] == self.fails_at:
            raise ConnectionError("https://key:secret@server refused")
        self.steps.append(line["step"])

    def close(self, *, failed: bool) -> None:
        self.closed.append(failed)


def test_a_tool_that_fails_ends_the_training_saved_and_without_its_text(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = [Recorder(fails_at=3), Recorder()]
    known = []

    def opened(name: str, run: Path, config: Any, given: str | None) -> Recorder:
        known.append(given)
        return tools[len(known) - 1]

    monkeypatch.setattr(fvlm_train.tracking.log, "_opened", opened)
    monkeypatch.setattr(fvlm_train.tracking.log, "check_installed", lambda config: None)
    monkeypatch.setattr("fvlm_train.training.checks.check_installed", lambda config: None)
    config = tiny(steps=4, checkpoint_every_steps=100, tracking={"to": ["mlflow"]})
    run = tmp_path / "run"
    with pytest.raises(TrackingError, match=r"mlflow cannot be told .* \(ConnectionError\)") as one:
        train(config, toy_source(20, 0), run)
    assert "secret" not in str(one.value)
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    assert checkpoint.step == 3
    train(config, toy_source(20, 0), run)
    assert known == [None, "r1"]
    assert [tool.steps for tool in tools] == [[1, 2], [1, 2, 3, 4]]
    assert [tool.closed for tool in tools] == [[True], [False]]


def test_a_tool_that_is_not_installed_is_told_before_any_work(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    config = tiny(tracking={"to": ["wandb"]})
    with pytest.raises(MissingExtraError, match=r"train\.tracking\.to: wandb: .*'fvlm\[wandb\]'"):
        train(config, toy_source(20, 0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"to": ["neptune"]}, "to"),
        ({"to": ["wandb", "wandb"]}, "holds a name twice"),
        ({"wandb_url": "wandb.hospital"}, "expected the http or https address"),
        ({"mlflow_url": "https://me:secret@server"}, "holds a user or password"),
    ],
)
def test_settings_that_cannot_be_used(tiny: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        tiny(tracking=given)
    assert "secret" not in str(error.value)


def test_no_path_is_among_the_settings_that_are_told(tiny: Any) -> None:
    given = {"text": {"kind": "folder", "folder": "/home/someone/bert"}, "init_mae": "/home/x.pth"}
    told = told_settings(tiny(model=given, reading={"disk_cache": "/home/someone/cache"}))
    assert told["model.text.kind"] == "folder"
    assert told["optimiser.betas"] == (0.9, 0.999)
    assert not [key for key, value in told.items() if "/home" in str(value)]


def test_going_on_with_other_tools_is_no_other_recipe(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tiny(steps=3), toy_source(20, 0), tmp_path, stopped_at(2))
    other = parse_train_config(
        tiny(steps=3).model_dump() | {"tracking": {"project": "other", "name": "other"}}
    )
    assert train(other, toy_source(20, 0), tmp_path).steps == 3
