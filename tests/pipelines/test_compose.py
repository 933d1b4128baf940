"""docker-compose.yml by the specification's own schema, and by what that schema cannot say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")
PROFILES = {
    "segmentation-worker": "gpu",
    "vault-db": "cluster",
    "object-store": "bucket",
    "orthanc": "demo",
    "node-exporter": "metrics",
    "prometheus": "metrics",
    "grafana": "metrics",
}
UNCHECKED = {"deploy", "dask-worker", "segmentation-worker"}
"""Services without a health check; the file says why beside each."""


def faults(told: Any) -> list[str]:
    schema = get_builtin_schema("vendor.compose-spec")
    return [one.message for one in Draft202012Validator(schema).iter_errors(told)]


def names(service: dict[str, Any], key: str) -> set[str]:
    """What a service refers to, in the short or the long form."""
    return {one["source"] if isinstance(one, dict) else one for one in service.get(key, [])}


def mounted(service: dict[str, Any]) -> set[str]:
    """Names of volumes that a service mounts, of variables their defaults."""
    sources = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", one) for one in service.get("volumes", [])]
    return {one.split(":")[0] for one in sources if not one.startswith(("./", "/"))}


def test_the_file_is_what_the_specification_allows() -> None:
    assert faults(COMPOSE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"services": {"a": {"image": "b", "healthchek": {}}}},
        {"services": {"a": {"image": "b", "depends_on": {"c": {"condition": "ready"}}}}},
        {"services": {"a": {"image": "b", "env_file": [{"required": False}]}}},
    ],
)
def test_the_schema_refuses_what_is_no_such_file(wrong: dict[str, Any]) -> None:
    assert faults(wrong)


@pytest.mark.parametrize("key", ["secrets", "configs", "networks"])
def test_what_services_name_is_defined_and_used(key: str) -> None:
    named = set().union(*(names(service, key) for service in SERVICES.values()))
    assert named == set(COMPOSE[key])


def test_volumes_are_named_and_each_is_mounted() -> None:
    assert set().union(*map(mounted, SERVICES.values())) == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", COMPOSE["configs"])
def test_a_configuration_is_a_file_of_ours_that_reads(name: str) -> None:
    path = ROOT / COMPOSE["configs"][name]["file"]
    read = json.loads if path.suffix == ".json" else yaml.safe_load
    assert isinstance(read(path.read_text()), dict)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_restarted_and_without_rights(name: str) -> None:
    service = SERVICES[name]
    assert ("healthcheck" in service) is (name not in UNCHECKED)
    assert service["restart"] == ("on-failure" if name == "deploy" else "unless-stopped")
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("profiles", []) == ([PROFILES[name]] if name in PROFILES else [])


def test_the_reason_stands_beside_each_service_that_is_not_watched() -> None:
    assert TEXT.count("# No health check") == len(UNCHECKED)


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_built_here_or_pinned_by_digest(name: str) -> None:
    service = SERVICES[name]
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.M))
    if "build" in service:
        assert service["build"]["target"] in stages
    else:
        assert DIGEST.search(service["image"])


def test_grafana_calls_nobody_and_takes_its_password_from_a_file() -> None:
    told = SERVICES["grafana"]["environment"]
    off = {name for name, value in told.items() if value == "false"}
    assert off >= {
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
        "GF_ANALYTICS_CHECK_FOR_UPDATES",
        "GF_ANALYTICS_REPORTING_ENABLED",
        "GF_NEWS_NEWS_FEED_ENABLED",
        "GF_USERS_ALLOW_SIGN_UP",
    }
    assert told["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_password"


def test_the_dashboard_lies_where_grafana_looks_and_finds_its_data() -> None:
    places = {one["source"]: one["target"] for one in SERVICES["grafana"]["configs"]}
    provider = yaml.safe_load((ROOT / "compose/grafana-dashboards.yml").read_text())
    (folder,) = (one["options"]["path"] for one in provider["providers"])
    assert str(Path(places["grafana_dashboard"]).parent) == folder
    (source,) = yaml.safe_load((ROOT / "compose/grafana-datasource.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")


def test_figures_go_from_a_run_to_prometheus_through_one_volume() -> None:
    """The flow's process writes what node_exporter reads, which Prometheus asks."""
    assert "metrics:/metrics" in SERVICES["prefect-worker"]["volumes"]
    assert SERVICES["node-exporter"]["volumes"] == ["metrics:/metrics:ro"]
    assert "--collector.textfile.directory=/metrics" in SERVICES["node-exporter"]["command"]
    asked = yaml.safe_load((ROOT / "compose/prometheus.yml").read_text())["scrape_configs"]
    assert asked[0]["static_configs"] == [{"targets": ["node-exporter:9100"]}]


def test_the_object_store_refuses_who_has_no_key_and_calls_nobody() -> None:
    words = SERVICES["object-store"]["command"]
    assert {"-s3.config=/run/secrets/object_store", "-master.telemetry=false"} <= set(words)
    assert "ports" not in SERVICES["object-store"]
