"""What `fvlm-data doctor` finds of an installation, a configuration, and the places it names."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.inspect.doctor import examine, installation
from fvlm_data.inspect.verify import Check
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path)


def configured(folder: Path, **values: Any) -> Config:
    reports = folder / "reports.csv"
    reports.write_text("study_uid,report\n1.2.3,FINDINGS: No nodule.\n", encoding="utf-8")
    told = {
        "store": str(folder / "store"),
        "identity": {"vault": str(folder / "vault")},
        "reports": [{"path": str(reports)}],
        **values,
    }
    return load_config(values=told)


def broken(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks if not check.passed}


def test_this_installation_is_whole():
    assert broken(examine(None)) == {}


def test_a_configuration_that_can_run(config: Config):
    assert broken(examine(config)) == {}
    curate(config, ("versions", "match", "reports"))
    checks = examine(config)
    assert broken(checks) == {}
    assert "store and vault open" in {check.name for check in checks}


def test_nothing_is_made(config: Config, tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    examine(config)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_missing_is_named(tmp_path: Path):
    config = configured(tmp_path, sources=[{"kind": "dicom", "path": str(tmp_path / "nowhere")}])
    told = broken(examine(config))
    assert list(told) == ["stage ingest can begin"]
    assert "nowhere" in told["stage ingest can begin"].counted


def test_an_extra_is_missed_only_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = ['boto9>=1; extra == "s3"', 'torch>=99; extra == "train"', "numpy>=99", "duckdb>=1"]
    monkeypatch.setattr(installation, "requires", lambda _name: asked)
    told = broken(examine(configured(tmp_path)))
    assert set(told) == {"the core's packages are those that it was made for"}
    assert "numpy>=99, found" in next(iter(told.values())).examples[0]
    told = broken(installation.installation_checks(configured(tmp_path, train={"steps": 3})))
    assert "extra [train], for its section" in told
    config = configured(tmp_path).model_copy(update={"store": "s3://bucket/store"})
    told = broken(installation.installation_checks(config))
    assert told["extra [s3], for the store's URL"].examples == ("boto9>=1, not found",)
    assert told["extra [s3], for the store's URL"].remedy == "pip install 'fvlm[s3]'"
    source = SourceConfig(kind="bucket", url="s3://archive")
    config = configured(tmp_path).model_copy(update={"sources": (source,)})
    assert "extra [s3], for a source" in broken(installation.installation_checks(config))


def test_extras_of_a_training_are_missed_where_it_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = [f'{name}>=99; extra == "{name}"' for name in ("swin", "wandb", "mlflow")]
    monkeypatch.setattr(installation, "requires", lambda _name: asked)
    model = {"image_encoder": "swin", "image": {"patch_zyx": [16, 16, 16]}}
    train = {"model": model, "tracking": {"to": ["wandb"]}}
    told = broken(installation.installation_checks(configured(tmp_path, train=train)))
    assert {"extra [swin], for train.model.image_encoder", "extra [wandb], for train.tracking"} <= (
        told.keys()
    )
    assert not [one for one in told if "mlflow" in one]


@pytest.mark.skipif(os.name != "posix", reason="rights of owners are POSIX's")
def test_an_open_vault_is_told(config: Config, tmp_path: Path):
    curate(config, ("versions",))
    (tmp_path / "vault").chmod(0o755)
    told = broken(examine(config))
    assert list(told) == ["the vault is readable by its owner only"]
    assert "chmod" in told["the vault is readable by its owner only"].remedy


def test_a_vault_without_its_key_is_told(config: Config, tmp_path: Path):
    curate(config, ("versions",))
    (tmp_path / "vault" / "key").unlink()
    told = broken(examine(config))
    assert "no key found there" in told["store and vault open"].counted


@pytest.fixture
def server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_servers_that_are_named_are_tried_and_no_others(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PREFECT_API_URL", f"http://{server}/api")
    host, port = server.split(":")
    named = {
        "execution": {"dask": {"address": f"tcp://{server}"}},
        "monitoring": {
            "webhook": f"http://{server}/hook",
            "mail": {"host": host, "port": port, "sender": "a@b", "to": ["c@d"]},
        },
    }
    names = {check.name for check in examine(configured(tmp_path, **named))}
    assert "the webhook (monitoring.webhook) answers" in names
    assert "the mail server (monitoring.mail) answers" in names
    assert "Prefect's server (PREFECT_API_URL) answers" in names
    assert "Dask's scheduler (execution.dask.address) answers" in names
    monkeypatch.delenv("PREFECT_API_URL")

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("no address is named")

    monkeypatch.setattr(socket, "create_connection", refused)
    examine(configured(tmp_path))


def test_a_server_that_is_down_is_told(tmp_path: Path, server: str):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        closed = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
    told = broken(examine(configured(tmp_path, execution={"dask": {"address": closed}})))
    assert list(told) == ["Dask's scheduler (execution.dask.address) answers"]
    told = broken(examine(configured(tmp_path, execution={"dask": {"address": "x:y"}})))
    assert next(iter(told.values())).counted == "no address of a server"


def test_the_command_ends_with_one_where_something_is_missing(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"store: {tmp_path / 'store'}\nsources: [{{kind: dicom, path: {tmp_path / 'nowhere'}}}]\n"
    )
    ended = CliRunner().invoke(app, ["doctor", str(path), "--json"])
    assert ended.exit_code == 1
    assert [one["name"] for one in json.loads(ended.stdout) if not one["passed"]] == [
        "stage ingest can begin"
    ]
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
