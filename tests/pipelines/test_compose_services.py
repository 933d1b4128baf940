"""The services of docker-compose.yml as processes of this machine, by the commands of the file.

What a container would give is given otherwise: hosts and ports are loopback's, folders and secrets
lie below the test's. Of images that are not ours the file names no program; Debian's stands for it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml

from tests.lacking import lacking
from tests.servers import PATIENCE_S, free_port, postgres, started

if TYPE_CHECKING:
    from .conftest import Shell

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]
PROGRAMS = {"node-exporter": "prometheus-node-exporter", "prometheus": "prometheus"}
NEED_A_STORE = ("pages", "node-exporter", "prometheus")
RUN = (
    "prefect-server", "dask-scheduler", "dask-worker", "segmentation-worker", "prefect-worker",
    "deploy", *NEED_A_STORE, "orthanc",
)  # fmt: skip
BY_FIXTURE = ("postgres", "vault-db")  # PostgreSQL's image starts it without a command
NOT_HERE = (
    "object-store",
    "grafana",
)  # no package of Debian; other tests have moto
PORTS = ("4200", "8042", "8050", "8080", "8786", "9090", "9100")
FOLDERS = ("data", "store", "vault", "weights", "metrics", "prometheus", "orthanc")
HOSTS = "|".join(SERVICES)
OWN_ADDRESS = "socket.connect 8.8.8.8 in "
"""How Dask finds the machine's own address: a UDP socket is given a peer, and nothing is sent."""

pytestmark = [
    pytest.mark.full,
    pytest.mark.network,
    pytest.mark.prefect,
    pytest.mark.timeout(1200),
]


def test_each_service_is_run_or_named_as_not_here() -> None:
    assert sorted(SERVICES) == sorted([*RUN, *BY_FIXTURE, *NOT_HERE])


class Here:
    """A machine for the services: what their texts say, said for this one."""

    def __init__(self, folder: Path, database_port: str, shell: Shell) -> None:
        self.folder = folder
        self.ports = {port: str(free_port()) for port in PORTS} | {"5432": database_port}
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self._shell = shell

    def said(self, text: str) -> str:
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")
        text = text.replace("/run/secrets/", f"{self.secrets}/").replace("0.0.0.0", "127.0.0.1")
        text = text.replace("/etc/prometheus/fvlm.yml", f"{self.folder}/prometheus.yml")
        text = re.sub(rf"(?<=[/@])({HOSTS})(?=:\d)", "127.0.0.1", text)
        text = re.sub(rf"(?<![\w/])({HOSTS})(?=:\d)", "127.0.0.1", text)
        text = re.sub(r"(?<=[:/])\d{4}\b|^\d{4}$|(?<=, )\d{4}(?=\))", self._port, text)
        return re.sub(rf"(?<![\w./])/({'|'.join(FOLDERS)})(?![\w-])", rf"{self.folder}/\1", text)

    def _port(self, found: re.Match[str]) -> str:
        return self.ports.get(found[0], found[0])

    def command(self, name: str) -> list[str]:
        words = [self.said(word) for word in SERVICES[name]["command"]]
        return [PROGRAMS[name], *words] if name in PROGRAMS else words

    def environment(self, name: str) -> dict[str, str]:
        told = {key: self.said(one) for key, one in SERVICES[name].get("environment", {}).items()}
        if not any(one.endswith(":/vault") for one in SERVICES[name].get("volumes", [])):
            told["FVLM_VAULT"] = str(self.folder / "nothing is mounted here")
        return {
            **self._shell.environment,
            **told,
            # this checkout, wherever the package was installed from
            "PYTHONPATH": os.pathsep.join([self._shell.environment["PYTHONPATH"], str(ROOT)]),
            # where a program takes its port from the environment alone
            "PREFECT_SERVER_API_PORT": self.ports["4200"],
            "PREFECT_WORKER_WEBSERVER_PORT": self.ports["8080"],
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"]
            ),
        }

    def wait_until_healthy(self, name: str, log: Path) -> None:
        """Its health check passes, as the engine would run it."""
        kind, *words = SERVICES[name]["healthcheck"]["test"]
        assert kind == "CMD"
        words = [self.said(word) for word in words]
        end = time.monotonic() + PATIENCE_S
        while subprocess.run(words, env=self.environment(name), capture_output=True).returncode:
            assert time.monotonic() < end, f"{name} is not healthy\n{log.read_text()}"
            time.sleep(0.5)


def settled_in(here: Here, configuration: Path) -> None:
    """Folders, secrets and settings as an operator lays them out."""
    for name in FOLDERS:
        (here.folder / name).mkdir(exist_ok=True)
    (here.folder / "orthanc" / "settings").mkdir()
    (here.folder / "orthanc" / "db").mkdir()
    settings = here.said((ROOT / "compose" / "orthanc.json").read_text())
    settings = settings.replace('"HttpPort": 8042', f'"HttpPort": {here.ports["8042"]}')
    (here.folder / "orthanc" / "settings" / "orthanc.json").write_text(settings)
    users = json.dumps({"RegisteredUsers": {"ingest": "a secret word"}})
    (here.folder / "orthanc" / "settings" / "users.json").write_text(users)
    (here.secrets / "postgres_password").write_text("a-password\n")
    (here.secrets / "serve_token").write_text("t" * 48)
    told = yaml.safe_load(configuration.read_text())
    told["store"] = str(here.folder / "store")
    told["execution"]["dask"] = {"address": f"tcp://127.0.0.1:{here.ports['8786']}"}
    told["monitoring"] = {"metrics": str(here.folder / "metrics" / "fvlm.prom")}
    configuration.write_text(yaml.safe_dump(told))


def asked(address: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as it:
        return json.load(it)


def scraped(here: Here) -> Any:
    """What Prometheus says of the last run, once it has asked node_exporter."""
    address = f"http://127.0.0.1:{here.ports['9090']}/api/v1/query?query=fvlm_table_rows"
    end = time.monotonic() + PATIENCE_S
    while not (found := asked(address)["data"]["result"]):
        assert time.monotonic() < end
        time.sleep(0.5)
    return {one["metric"]["table"]: int(one["value"][1]) for one in found}


def test_the_services_start_are_healthy_and_run_a_night(
    configuration: Path, shell: Shell, tmp_path: Path
) -> None:
    for program in ("Orthanc", *PROGRAMS.values()):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            kind = "servers" if program == "Orthanc" else "metrics"
            lacking(f"the Debian package {program.lower()} is not installed", kind)
    with ExitStack() as stack:
        url = stack.enter_context(postgres(tmp_path))
        with psycopg.connect(f"postgresql:{url}", autocommit=True) as connection:
            connection.execute("CREATE DATABASE prefect")
        here = Here(tmp_path, url.rsplit(":", 1)[1].split("/")[0], shell)
        settled_in(here, configuration)

        def start(name: str) -> None:
            log = stack.enter_context(started(here.command(name), tmp_path, here.environment(name)))
            if "healthcheck" in SERVICES[name]:
                here.wait_until_healthy(name, log)

        for name in RUN[: RUN.index("deploy")]:
            start(name)
        prefect = {**here.environment("deploy"), "PWD": str(ROOT)}
        subprocess.run(here.command("deploy"), cwd=ROOT, env=prefect, check=True)
        done = subprocess.run(
            ["prefect", "deployment", "run", "curate/curate", "-p", f"config={configuration}",
             "--watch"],
            cwd=tmp_path, env=prefect, capture_output=True, text=True, check=True,
            timeout=PATIENCE_S,
        )  # fmt: skip
        logs = "\n".join(one.read_text() for one in tmp_path.glob("*.log"))
        assert "Completed" in done.stdout, logs
        # segment's batches went to the one worker that has a GPU, and no vault
        assert re.search(r"stage ingest needs the vault: 1 of 3 Dask workers have none", logs)
        prometheus = yaml.safe_load(here.said((ROOT / "compose" / "prometheus.yml").read_text()))
        prometheus["global"]["scrape_interval"] = "1s"
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
        for name in (*NEED_A_STORE, "orthanc"):
            start(name)
        assert scraped(here)["volumes"] == 4
        with pytest.raises(urllib.error.HTTPError, match="401"):
            asked(f"http://127.0.0.1:{here.ports['8042']}/dicom-web/studies")
    off = shell.off_loopback().splitlines()
    assert [line for line in off if not line.startswith(OWN_ADDRESS)] == []
