"""The JSON Schema of the configuration file, by which editors complete and check its keys."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fvlm_data.run.config import config_model
from fvlm_data.run.sections import section_models


def configuration_schema() -> dict[str, Any]:
    """The schema of the whole file, with the sections that other packages own.

    No key is required at the top: `--store` of a command may name the store.
    """
    model = config_model()
    owned = {name: one for name, one in section_models().items() if name in model.model_fields}
    models: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation")]
    models += [(one, "validation") for one in owned.values()]
    places, schema = models_json_schema(models)
    definitions = schema["$defs"]
    top = definitions.pop(model.__name__)
    properties = dict(top["properties"])
    for name, one in owned.items():
        described = model.model_fields[name].description
        properties[name] = {**places[one, "validation"], "description": described}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of fvlm",
        "description": top["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": definitions,
    }
