"""A message to a person when a flow fails, to the places that the configuration names."""

from __future__ import annotations

import json
import smtplib
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fvlm_data.monitoring.config import MailConfig, MonitoringConfig

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is told: no path, no item and no text of an error, which may name a file.

    `flow` and `run` are names, `state` how the run ended, `kind` the class of the error.
    """

    flow: str
    run: str
    state: str
    kind: str

    @property
    def text(self) -> str:
        """One sentence for a person."""
        because = f" ({self.kind})" if self.kind else ""
        return (
            f"fvlm: flow {self.flow}, run {self.run!r}: {self.state}{because}; the sentence that "
            "says why is on Prefect's page; what is settled stays settled"
        )


def sound(alarm: Alarm, config: MonitoringConfig) -> list[str]:
    """Send the alarm to all places that are named; return what did not work, without addresses."""
    failed = []
    if config.webhook is not None:
        try:
            _post(config.webhook, alarm)
        except (OSError, ValueError) as error:  # HTTP and URL errors are OSErrors
            failed.append(f"monitoring.webhook: {_told(error)}")
    if config.mail is not None:
        try:
            _mail(config.mail, alarm)
        except (OSError, smtplib.SMTPException) as error:
            failed.append(f"monitoring.mail: {type(error).__name__}")
    return failed


class _Staying(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it may lead to a server that the configuration does not name."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Refuse it; the answer is then an HTTPError."""


def _post(url: str, alarm: Alarm) -> None:
    # `text` is what chat servers show; the rest is for programs
    body = json.dumps({"text": alarm.text, **asdict(alarm)}).encode()
    request = urllib.request.Request(
        url, data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.build_opener(_Staying).open(request, timeout=TIMEOUT_S) as answer:
        answer.read(1)


def _mail(config: MailConfig, alarm: Alarm) -> None:
    message = EmailMessage()
    message["From"], message["To"] = config.sender, ", ".join(config.to)
    message["Subject"] = f"fvlm: {alarm.flow} {alarm.state}"
    message.set_content(alarm.text)
    with smtplib.SMTP(config.host, config.port, timeout=TIMEOUT_S) as server:
        server.send_message(message)


def _told(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"answered {error.code}"
    return type(error).__name__
