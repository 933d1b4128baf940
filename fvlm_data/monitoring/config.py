"""Section `monitoring`: where a run tells how it fares."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class MailConfig(BaseModel):
    """A mail server that takes messages without a password, and who gets them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(description="SMTP server")
    port: int = Field(default=25, ge=1, le=65535, description="its port")
    sender: str = Field(description="address that the message is from")
    to: tuple[str, ...] = Field(min_length=1, description="addresses that it goes to")


class MonitoringConfig(BaseModel):
    """Section `monitoring`: no key of it changes a result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log: Literal["text", "json"] = Field(
        default="text",
        description="lines of the log on standard error: text, or one JSON object each, with run, "
        "stage, batch, items and counts",
    )
    metrics: Path | None = Field(
        default=None,
        description="file that each run keeps up to date for Prometheus, below the folder of "
        "node_exporter's textfile collector, as fvlm.prom; nothing listens on a port",
    )
    webhook: str | None = Field(
        default=None,
        description="http or https URL that gets a JSON message when a flow fails; it may hold a "
        "secret: the store is told a token of it only",
    )
    mail: MailConfig | None = Field(
        default=None, description="mail that is sent when a flow fails; default: none"
    )

    pages: str | None = Field(
        default=None,
        description="http or https address at which the store's pages are served (`fvlm-data "
        "serve` behind its own name, or a web server's copy of qc/), without a token: what a flow "
        "leaves on Prefect's page links to it",
    )

    @field_validator("pages")
    @classmethod
    def _is_page(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address as https://host/path")
        # whoever reads Prefect's page would have it
        if parts.query or parts.fragment or parts.username or parts.password:
            raise ValueError("expected an address without token, name or password")
        if set(value) & set(" ()<>[]\\\"'`"):
            raise ValueError("expected an address without blanks, brackets or quotes")
        return value

    @field_validator("webhook")
    @classmethod
    def _is_web(cls, value: str | None) -> str | None:
        # a token stands for the URL in what the store keeps
        if value is None or value.startswith("f_"):
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected a URL as https://host/path")
        return value
