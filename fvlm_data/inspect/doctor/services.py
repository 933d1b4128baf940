"""Servers that a configuration names: of sources, models, Dask, alarms; Prefect's, if set."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fvlm_data.ingest.sources.objects import SCHEME
from fvlm_data.inspect.verify import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.run.config import Config

TIMEOUT_S = 5.0
PORTS = {"http": 80, "https": 443, "tcp": 8786, "tls": 8786}
"""Where an address names none; 8786 is the port of Dask's scheduler."""


def service_checks(config: Config | None) -> list[Check]:
    """Whether each named server takes a connection; nothing is asked of it."""
    return [_reached(what, address) for what, address in _named(config)]


def _named(config: Config | None) -> Iterator[tuple[str, str]]:
    if prefect := os.environ.get("PREFECT_API_URL"):
        yield "Prefect's server (PREFECT_API_URL)", prefect
    if config is None:
        return
    for source in config.sources:
        # of a bucket the stage's own check has asked for a first page, with the credentials
        if source.url and not source.url.startswith(SCHEME):
            yield f"source {source.label}", source.url
    if config.execution.dask.address:
        yield "Dask's scheduler (execution.dask.address)", config.execution.dask.address
    if config.parse.backend == "llm" and config.parse.llm is not None:
        yield "the language model (parse.llm.endpoint)", config.parse.llm.endpoint
    if config.monitoring.webhook is not None:
        yield "the webhook (monitoring.webhook)", config.monitoring.webhook
    if config.monitoring.mail is not None:
        mail = config.monitoring.mail
        yield "the mail server (monitoring.mail)", f"tcp://{mail.host}:{mail.port}"


def _reached(what: str, address: str) -> Check:
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    name = f"{what} answers"
    try:
        place = (parts.hostname or "", parts.port or PORTS[parts.scheme])
    except (KeyError, ValueError):
        return Check(name, False, "no address of a server", remedy="as https://host/dicom-web")
    told = f"{place[0]}:{place[1]}"
    try:
        with socket.create_connection(place, timeout=TIMEOUT_S):
            return Check(name, True, told)
    except OSError as error:
        why = error.strerror or type(error).__name__
        return Check(
            name, False, f"{told}: {why}", remedy="start it, or check address, network and proxy"
        )
