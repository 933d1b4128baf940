"""Who may ask: the token, what a browser holds of it, and the names the server is reached by."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

TOKEN_VARIABLE = "FVLM_SERVE_TOKEN"
TOKEN_BYTES = 32
LEAST_TOKEN = 16
"""Characters of a token that somebody chooses."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Access:
    """The token; `hosts` are the names, without ports, that a request may be addressed to.

    `port` is where the server listens.
    """

    token: str
    hosts: frozenset[str]
    port: int

    @property
    def cookie(self) -> str:
        """Name of the cookie, which browsers send to every port of a host."""
        return f"fvlm_serve_{self.port}"

    @property
    def session(self) -> str:
        """What the cookie holds: it gives no token that outlives the server."""
        return self._derived("session")

    @property
    def csrf(self) -> str:
        """What a page sends with a post: no page of another origin can read it."""
        return self._derived("csrf")

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how far they are."""
    return hmac.compare_digest(given.encode(), expected.encode())


def chosen_token(
    file: Path | None, environment: Mapping[str, str] = os.environ
) -> tuple[str, bool]:
    """The token of a file or the environment, else a random one; whether it is random.

    Raises:
        InputError: the file cannot be read, or what it holds is too short.
    """
    if file is not None:
        try:
            token, place = file.read_text(encoding="utf-8").strip(), f"--token-file {file}"
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"--token-file {file}: cannot be read ({type(error).__name__})"
            ) from error
    elif TOKEN_VARIABLE in environment:
        token, place = environment[TOKEN_VARIABLE].strip(), TOKEN_VARIABLE
    else:
        return secrets.token_urlsafe(TOKEN_BYTES), True
    if len(token) < LEAST_TOKEN:
        raise InputError(
            f"{place}: {len(token)} characters found, expected at least {LEAST_TOKEN}; "
            "`openssl rand -hex 32` makes a good one"
        )
    return token, False


def served_hosts(host: str, allowed: Iterable[str]) -> frozenset[str]:
    """Names that a request may be addressed to: where the server listens, and those `allowed`."""
    listening = LOOPBACK if is_loopback(host) or _is_any(host) else {host.lower()}
    return frozenset({*listening, *(one.lower() for one in allowed)})


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()
