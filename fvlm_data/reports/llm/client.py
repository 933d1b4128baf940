"""Chat completions of an OpenAI-compatible endpoint, asked until there is an answer."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError, FvlmError
from fvlm_data.extras import needs_extra

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.reports.llm.config import LlmConfig

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT_S = 120.0


class EndpointRefusesError(FvlmError):
    """The endpoint refuses the request as such: the run cannot go on."""


class NoAnswerError(FvlmError):
    """One report got no usable answer within the allowed tries."""


class LlmClient:
    """One connection pool to the configured endpoint; safe to use from several threads.

    Proxies and netrc of the environment are not used and redirects are not followed, so that
    text reaches no other host.
    """

    def __init__(self, config: LlmConfig, sleep: Callable[[float], None] = time.sleep) -> None:
        """Open the pool; nothing is sent yet.

        Raises:
            ConfigError: the environment variable of the key is not set.
            MissingExtraError: the extra [llm] is not installed.
        """
        with needs_extra("llm", "parse.llm"):
            import httpx

        headers = {}
        if config.api_key_env:
            key = os.environ.get(config.api_key_env)
            if not key:
                raise ConfigError(
                    f"parse.llm.api_key_env: {config.api_key_env} is not set; expected the key "
                    "of the endpoint in it"
                )
            headers["Authorization"] = f"Bearer {key}"
        self._config = config
        self._sleep = sleep
        self._failures = (httpx.TransportError,)
        self._http = httpx.Client(
            headers=headers, timeout=config.timeout_s, trust_env=False, follow_redirects=False
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def complete(self, messages: list[dict[str, str]], schema: dict[str, Any]) -> str:
        """The content of the model's answer, which the endpoint is asked to hold to `schema`.

        Raises:
            NoAnswerError: time-outs, rate limits or failures of the server, to the last try.
            EndpointRefusesError: the endpoint answers with another error status.
        """
        body = {
            "model": self._config.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": self._config.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "report", "strict": True, "schema": schema},
            },
        }
        found = "none"
        for attempt in range(self._config.attempts):
            answer = self._post(body)
            if isinstance(answer, str):
                found, told = answer, None
            elif answer.status_code in _PASSING:
                found, told = f"status {answer.status_code}", answer.headers.get("retry-after")
            elif answer.status_code != 200:
                raise EndpointRefusesError(
                    f"endpoint {self._config.endpoint}: status {answer.status_code}, expected "
                    "200; check parse.llm (endpoint, model, api_key_env)"
                )
            else:
                content = _content(answer)
                if content is not None:
                    return content
                found, told = "an answer without content", None
            if attempt + 1 < self._config.attempts:
                self._sleep(self._wait(attempt, told))
        raise NoAnswerError(f"{found} after {self._config.attempts} tries, expected an answer")

    def _post(self, body: dict[str, Any]) -> Any:
        """The response, or in a word what failed before there was one."""
        url = f"{self._config.endpoint.rstrip('/')}/chat/completions"
        try:
            return self._http.post(url, json=body)
        except self._failures as error:
            return type(error).__name__

    def _wait(self, attempt: int, told: str | None) -> float:
        """Seconds until the next try: what the server asks for, else doubled each time."""
        asked = float(told) if told and told.strip().isdigit() else 0.0
        wait: float = max(asked, self._config.backoff_s * 2.0**attempt)
        return min(wait, _LONGEST_WAIT_S)


def _content(response: Any) -> str | None:
    """Content of the first choice; none where the answer is of another form or was cut off."""
    try:
        choice = response.json()["choices"][0]
        content = choice["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    complete = choice.get("finish_reason") in ("stop", None)
    return content if complete and isinstance(content, str) and content.strip() else None
