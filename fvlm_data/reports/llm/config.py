"""Section `parse.llm` of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fvlm_data.settings import DECIDES_NOTHING


class LlmConfig(BaseModel):
    """An OpenAI-compatible endpoint; only `model` is part of a report's key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str = Field(
        pattern=r"^https?://",
        description="base URL, as https://host/v1; scrubbed text goes there and nowhere else",
        json_schema_extra=DECIDES_NOTHING,
    )
    model: str = Field(description="name of the model, as the endpoint knows it")
    api_key_env: str | None = Field(
        default=None,
        description="environment variable that holds the key; default: none is sent",
        json_schema_extra=DECIDES_NOTHING,
    )
    timeout_s: float = Field(
        default=120.0,
        gt=0,
        description="longest wait for an answer, s",
        json_schema_extra=DECIDES_NOTHING,
    )
    attempts: int = Field(
        default=4,
        ge=1,
        le=10,
        description="tries of a request before the report is set aside",
        json_schema_extra=DECIDES_NOTHING,
    )
    backoff_s: float = Field(
        default=1.0,
        ge=0,
        description="wait before the second try, doubled for each further one, s",
        json_schema_extra=DECIDES_NOTHING,
    )
    concurrency: int = Field(
        default=4,
        ge=1,
        description="requests at once in a worker",
        json_schema_extra=DECIDES_NOTHING,
    )
    max_tokens: int = Field(
        default=4096,
        ge=64,
        description="longest answer, tokens",
        json_schema_extra=DECIDES_NOTHING,
    )
