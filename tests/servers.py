"""Servers that tests start on loopback, and end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lacking import lacking

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE_S = 400
PLACES_OF_POSTGRES = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Run a service while the block runs, then kill it with all that it started."""
    log = folder / f"{len(list(folder.glob('*.log')))}.log"
    with log.open("wb") as handle:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
        )
        try:
            yield log
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for_port(port: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"nothing answered on port {port} within {PATIENCE_S} s")


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of our own on loopback, user prefect; yields its URL without a scheme."""
    program = shutil.which("initdb", path=os.pathsep.join([*PLACES_OF_POSTGRES, os.defpath]))
    if program is None:
        lacking("the Debian package postgresql is not installed", "servers")
    # PostgreSQL refuses to run as root
    user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as place:
        if user:
            shutil.chown(place, "nobody")
        data = f"{place}/data"
        subprocess.run(
            [*user, program, "-D", data, "-U", "prefect", "--auth=trust", "--no-sync"],
            cwd=place,
            check=True,
            capture_output=True,
        )
        server = str(Path(program).with_name("postgres"))
        options = ["-p", str(port), "-k", place, "-c", "listen_addresses=127.0.0.1"]
        command = [*user, server, "-D", data, *options]
        with started(command, folder, {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}):
            wait_for_port(port)
            _wait_until_ready(Path(program).with_name("pg_isready"), port)
            yield f"//prefect@127.0.0.1:{port}/postgres"


def _wait_until_ready(program: Path, port: int) -> None:
    """PostgreSQL takes connections before it answers them: "the database system is starting up"."""
    end = time.monotonic() + PATIENCE_S
    while subprocess.run(
        [program, "-h", "127.0.0.1", "-p", str(port)], capture_output=True, check=False
    ).returncode:
        if time.monotonic() > end:
            pytest.fail(f"PostgreSQL on port {port} was not ready within {PATIENCE_S} s")
        time.sleep(0.2)
