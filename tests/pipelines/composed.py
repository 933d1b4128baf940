"""The services of docker-compose.yml as processes of this machine: places, ports and secrets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.servers import PATIENCE_S, free_port

if TYPE_CHECKING:
    from .conftest import Shell

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]
PROGRAMS = {"node-exporter": "prometheus-node-exporter", "prometheus": "prometheus"}
PORTS = ("4200", "8042", "8050", "8080", "8786", "9090", "9100")
FOLDERS = ("data", "store", "vault", "weights", "metrics", "prometheus", "orthanc")
HOSTS = "|".join(SERVICES)
USER, PASSWORD = "ingest", "a secret word"
"""Who may ask Orthanc."""


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
    users = json.dumps({"RegisteredUsers": {USER: PASSWORD}})
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
