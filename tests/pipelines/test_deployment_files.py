from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import TELEMETRY_OFF

ROOT = Path(__file__).resolve().parents[2]
OURS = ["prefect-server", "prefect-worker", "deploy", "dask-scheduler", "dask-worker"]
AT_WORK = ["prefect-worker", "dask-worker"]


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def deployment() -> Any:
    told = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert [entry["name"] for entry in told["deployments"]] == ["curate"]
    return told["deployments"][0]


def test_the_deployment_names_the_flow(deployment: Any) -> None:
    assert deployment["entrypoint"] == "pipelines.curate.curate"
    assert deployment["work_pool"]["name"] == "curate"


def test_the_flows_process_has_telemetry_off(deployment: Any) -> None:
    assert deployment["work_pool"]["job_variables"]["env"] == TELEMETRY_OFF


def test_the_nightly_schedule_sleeps_until_somebody_wakes_it(deployment: Any) -> None:
    assert [entry["active"] for entry in deployment["schedules"]] == [False]


@pytest.mark.parametrize("service", OURS)
def test_every_service_of_ours_has_one_image_and_telemetry_off(compose: Any, service: str) -> None:
    told = compose["services"][service]
    assert told["image"] == compose["x-image"]["image"]
    assert told["environment"].items() >= TELEMETRY_OFF.items()


def test_only_the_server_has_a_way_out_and_its_page_is_on_loopback(compose: Any) -> None:
    assert compose["networks"]["inside"]["internal"] is True
    services = compose["services"]
    assert {n for n, s in services.items() if s["networks"] != ["inside"]} == {"prefect-server"}
    published = {n: s["ports"] for n, s in services.items() if "ports" in s}
    assert list(published) == ["prefect-server"]
    assert all(port.startswith("127.0.0.1:") for port in published["prefect-server"])


def test_the_server_keeps_its_state_in_postgres(compose: Any) -> None:
    services = compose["services"]
    url = services["prefect-server"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    user, database = (
        services["postgres"]["environment"][name] for name in ("POSTGRES_USER", "POSTGRES_DB")
    )
    assert url.startswith(f"postgresql+asyncpg://{user}:${{POSTGRES_PASSWORD:?")
    assert url.endswith(f"@postgres:5432/{database}")


@pytest.mark.parametrize("service", AT_WORK)
def test_workers_see_data_store_and_vault_at_the_same_places(compose: Any, service: str) -> None:
    told = compose["services"][service]
    assert [mount.split(":", 1)[1].split("}", 1)[-1] for mount in told["volumes"]] == [
        ":/data:ro",
        ":/store",
        ":/vault",
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
    assert set(compose["volumes"]) == {"postgres", "store", "vault"}


def test_no_password_stands_in_the_file(compose: Any) -> None:
    password = compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert password.startswith("${POSTGRES_PASSWORD:?")
