"""Templates of the pages: everything that is put into them is escaped."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

IN_SCRIPTS = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
"""What could end a script or begin another tag, as JSON writes it otherwise."""


def filled(template: str, **values: Any) -> str:
    """A template of this package filled in, as HTML text."""
    return _environment().get_template(template).render(**values)


def data_json(value: Any) -> Markup:
    """Plain data as JSON that can stand within a script element, keys sorted."""
    # nothing of HTML is left in it
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.translate(IN_SCRIPTS))


def words(code: str) -> str:
    """A snake_case code as words."""
    return code.replace("_", " ")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fvlm_data.qc", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=words, data_json=data_json)
    return environment
