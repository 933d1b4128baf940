"""Running the server: where it listens, and the address that is told."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def listening(host: str, port: int) -> socket.socket:
    """A socket at that address; port 0 takes a free one.

    Raises:
        InputError: the address is not of this machine, or taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--host {host} --port {port}: cannot listen there ({error}); port 0 takes a free one"
        ) from error


def address(host: str, port: int, token: str) -> str:
    """The URL to open; `token` may be what stands for it."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/?token={token}"


def run(app: ASGIApp, at: socket.socket) -> None:
    """Serve until the process is stopped.

    No line is written of a request: an address may hold what somebody searched for.
    """
    config = uvicorn.Config(
        app, access_log=False, log_config=None, proxy_headers=False, server_header=False,
        lifespan="off", timeout_graceful_shutdown=3,
    )  # fmt: skip
    # uvicorn ends its work first and then lets the interrupt go on
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[at])
