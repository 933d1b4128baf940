"""The services of docker-compose.yml as processes of this machine, by the commands of the file.

What a container would give is given otherwise: hosts and ports are loopback's, folders and secrets
lie below the test's. Of images that are not ours the file names no program; Debian's stands for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import urllib.error
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml

from tests.lacking import lacking
from tests.pipelines.composed import PROGRAMS, ROOT, SERVICES, Here, asked, settled_in
from tests.servers import PATIENCE_S, postgres, started

if TYPE_CHECKING:
    from .conftest import Shell

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
