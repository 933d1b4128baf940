from __future__ import annotations

import os
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import validate
from prefect.utilities.callables import parameter_schema
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from pipelines import TELEMETRY_OFF

ROOT = Path(__file__).resolve().parents[2]
OURS = ["prefect-server", "prefect-worker", "deploy", "dask-scheduler", "dask-worker", "pages"]
FLOWS = ["curate", "ingest", "reports", "verify", "compact", "forget"]
AT_WORK = ["prefect-worker", "dask-worker"]


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def deployments(text: str) -> dict[str, Any]:
    return {entry["name"]: entry for entry in yaml.safe_load(text)["deployments"]}


FILE = (ROOT / "prefect.yaml").read_text()
DEPLOYED = deployments(FILE)


@pytest.mark.parametrize("name", FLOWS)
def test_a_deployment_names_its_flow_and_has_telemetry_off(name: str) -> None:
    told = DEPLOYED[name]
    module, _, attribute = told["entrypoint"].rpartition(".")
    assert getattr(import_module(module), attribute).name == name
    assert told["work_pool"]["name"] == "curate"
    assert told["work_pool"]["job_variables"]["env"] == TELEMETRY_OFF
    assert told["concurrency_limit"]["limit"] == 1
    assert "fvlm" in told["tags"]


def test_all_flows_are_deployed() -> None:
    assert list(DEPLOYED) == FLOWS


def test_schedules_sleep_until_one_setting_wakes_them() -> None:
    def active(text: str) -> dict[str, list[bool]]:
        return {
            name: [schedule["active"] for schedule in told["schedules"]]
            for name, told in deployments(text).items()
            if "schedules" in told
        }

    assert active(FILE) == {"curate": [False], "verify": [False], "compact": [False]}
    awake = FILE.replace("scheduled: &scheduled false", "scheduled: &scheduled true")
    assert active(awake) == {"curate": [True], "verify": [True], "compact": [True]}


@pytest.mark.parametrize("name", ["curate", "verify", "compact"])
def test_parameters_of_a_schedule_are_those_of_its_flow(name: str) -> None:
    module, _, attribute = DEPLOYED[name]["entrypoint"].rpartition(".")
    schema = parameter_schema(getattr(import_module(module), attribute)).model_dump()
    for schedule in DEPLOYED[name]["schedules"]:
        validate(schedule["parameters"], schema)
        assert set(schedule["parameters"]) <= set(schema["properties"])


@pytest.mark.parametrize("service", OURS)
def test_every_service_of_ours_has_one_image_and_telemetry_off(compose: Any, service: str) -> None:
    told = compose["services"][service]
    assert told["image"] == compose["x-image"]["image"]
    assert told["environment"].items() >= TELEMETRY_OFF.items()


def test_only_the_server_has_a_way_out_and_its_page_is_on_loopback(compose: Any) -> None:
    assert compose["networks"]["inside"]["internal"] is True
    services = compose["services"]
    with_a_page = ["prefect-server", "pages", "orthanc", "grafana"]
    assert [n for n, s in services.items() if s["networks"] != ["inside"]] == with_a_page
    published = {n: s["ports"] for n, s in services.items() if "ports" in s}
    assert list(published) == with_a_page
    assert all(one.startswith("127.0.0.1:") for ports in published.values() for one in ports)


def test_the_server_keeps_its_state_in_postgres(compose: Any, tmp_path: Path) -> None:
    """Its command is run as it stands, with a secret and a `prefect` that tells what it gets."""
    services = compose["services"]
    (tmp_path / "prefect").write_text(
        '#!/bin/sh\necho "$PREFECT_SERVER_DATABASE_CONNECTION_URL $*"\n'
    )
    (tmp_path / "prefect").chmod(0o700)
    (tmp_path / "postgres_password").write_text("s3cret\n")
    # Compose makes one dollar of two
    command = [
        part.replace("$$", "$").replace("/run/secrets", str(tmp_path))
        for part in services["prefect-server"]["command"]
    ]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    url, *given = done.stdout.split()
    assert given == ["server", "start", "--host", "0.0.0.0"]
    user, database = (
        services["postgres"]["environment"][name] for name in ("POSTGRES_USER", "POSTGRES_DB")
    )
    assert url == f"postgresql+asyncpg://{user}:s3cret@postgres:5432/{database}"


@pytest.mark.parametrize("service", AT_WORK)
def test_workers_see_data_store_and_vault_at_the_same_places(compose: Any, service: str) -> None:
    told = compose["services"][service]
    assert [mount.split(":", 1)[1].split("}", 1)[-1] for mount in told["volumes"]] == [
        ":/data:ro",
        ":/store",
        ":/vault",
        "/metrics",
    ]
    assert told["environment"]["FVLM_VAULT"] == "/vault"
    assert told["environment"]["PREFECT_API_URL"] == "http://prefect-server:4200/api"


def test_what_a_service_waits_for_and_mounts_exists(compose: Any) -> None:
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        for wait in service.get("depends_on", {}):
            condition = service["depends_on"][wait]["condition"]
            healthy = "healthcheck" in compose["services"][wait]
            assert condition == ("service_healthy" if healthy else "service_started")


def test_no_password_stands_in_the_file(compose: Any) -> None:
    assert all(told["file"] == f"./secrets/{name}" for name, told in compose["secrets"].items())
    named = {
        value
        for told in compose["services"].values()
        for key, value in told.get("environment", {}).items()
        if "PASSWORD" in key or "TOKEN" in key
    }
    kept = ("postgres_password", "vault_db_password", "grafana_password")
    assert named == {f"/run/secrets/{one}" for one in kept}


@pytest.mark.parametrize("service", [*OURS, "segmentation-worker"])
def test_ours_run_as_a_user_without_capabilities(compose: Any, service: str) -> None:
    told = compose["services"][service]
    assert told["user"] == "1000:1000"
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1:]
    users = {
        one.split()[2]: [w for w in one.splitlines() if w.startswith("USER")] for one in stages
    }
    assert users[told["build"]["target"]][-1] == "USER fvlm"


def test_the_pages_are_read_only_and_know_no_vault(compose: Any, tmp_path: Path) -> None:
    """The command is one that the program takes, with its token from the secret."""
    told = compose["services"]["pages"]
    assert told["volumes"] == ["${FVLM_STORE:-store}:/store:ro"]
    program, *words = told["command"]
    assert program == "fvlm-data"
    assert "--review" not in words
    (tmp_path / "serve_token").write_text("short")
    words = [word.replace("/run/secrets", str(tmp_path)) for word in words]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 2
    assert "serve_token: 5 characters found, expected at least" in ended.stderr


def test_the_segmentation_worker_takes_what_needs_a_gpu(compose: Any) -> None:
    told = compose["services"]["segmentation-worker"]
    assert told["profiles"] == ["gpu"]
    assert told["command"][told["command"].index("--resources") + 1] == "GPU=1"
    (device,) = told["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert told["environment"].items() >= TELEMETRY_OFF.items()


def test_the_segmentation_worker_has_neither_vault_nor_originals(compose: Any) -> None:
    mounts = compose["services"]["segmentation-worker"]["volumes"]
    assert [mount.split("}")[-1] for mount in mounts] == [":/store", ":/weights:ro"]
