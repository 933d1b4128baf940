"""The parameters `settings` and `stages` of the flows, checked by the configuration's schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import WithJsonSchema

from fvlm_data.errors import ConfigError
from fvlm_data.run.config import Config, config_model, load_config
from fvlm_data.run.private_paths import PRIVATE
from fvlm_data.run.registry import STAGES

NOT_OFFERED = frozenset(
    ("preset", "store", "sources", "reports", "identity", "clinical", "train", "evaluate",
     "monitoring")
)  # fmt: skip
"""Sections that stand in the file only: Prefect keeps parameters, and these name places, people
and secrets, or have no meaning for a flow."""


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of `settings`, without the keys whose values name places of data."""
    schema = config_model().model_json_schema()
    definitions = schema["$defs"]
    sections = {
        name: _inlined(section, definitions)
        for name, section in schema["properties"].items()
        if name not in NOT_OFFERED
    }
    for name, section in sections.items():
        properties = section.get("properties", {})
        for key in PRIVATE.get(name, ()):
            properties.pop(key, None)
    return {
        "type": "object",
        "title": "Settings",
        "description": "keys of the configuration, over those of the file",
        "additionalProperties": False,
        "properties": sections,
    }


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with each reference replaced by what it means: Prefect moves definitions."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    beside = {name: _inlined(one, definitions) for name, one in schema.items() if name != "$ref"}
    if "$ref" not in schema:
        return beside
    meant = definitions[schema["$ref"].rpartition("/")[2]]
    return {**_inlined(meant, definitions), **beside}


def configured(config: str, settings: dict[str, Any] | None) -> Config:
    """The configuration of a flow: the file's, with `settings` over it.

    Raises:
        ConfigError: as `load_config`, or `settings` holds a key that stands in the file only.
    """
    for name, section in (settings or {}).items():
        keys = PRIVATE.get(name, ()) if isinstance(section, dict) else ()
        if name in NOT_OFFERED or any(key in section for key in keys):
            raise ConfigError(
                f"settings.{name}: names places or secrets, which Prefect would keep; set it in "
                "the configuration file"
            )
    return load_config(Path(config).resolve(), values=settings or {})


def stages_schema() -> dict[str, Any]:
    """The JSON Schema of `stages`: those of this installation, also of packages of others."""
    names = [*STAGES.own, *(one.name for one in STAGES.offers() if one.foreign)]
    return {"type": "array", "title": "Stages", "items": {"type": "string", "enum": names}}


Stages = Annotated[list[str], WithJsonSchema(stages_schema())] | None
"""Type of the parameter: the form of Prefect's page offers the names, its server checks them."""

Settings = Annotated[dict[str, Any], WithJsonSchema(settings_schema())] | None
"""Type of the parameter: the form of Prefect's page shows the keys, its server checks them."""
