from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import validate
from prefect.utilities.callables import parameter_schema

from pipelines import TELEMETRY_OFF

ROOT = Path(__file__).resolve().parents[2]
OURS = ["prefect-server", "prefect-worker", "deploy", "dask-scheduler", "dask-worker"]
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
