"""Templates of the pages: everything that is put into them is escaped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

PACKAGE = "fvlm_data.qc"

IN_SCRIPTS = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
"""What could end a script or begin another tag, as JSON writes it otherwise."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a page knows that a server makes: the token of its posts, empty where none are taken.

    `embeddings` says that the server knows some, `texts` that it can look for a text among them;
    `neighbours` are the anatomies of the page's study that it knows them of.
    """

    csrf: str = ""
    embeddings: bool = False
    texts: bool = False
    neighbours: tuple[str, ...] = ()


def filled(template: str, package: str = PACKAGE, **values: Any) -> str:
    """A template of this package, or of another one that builds on its, as HTML text."""
    return _environment(package).get_template(template).render(**values)


def data_json(value: Any) -> Markup:
    """Plain data as JSON that can stand within a script element, keys sorted."""
    # nothing of HTML is left in it
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.translate(IN_SCRIPTS))


def words(code: str) -> str:
    """A snake_case code as words."""
    return code.replace("_", " ")


@cache
def _environment(package: str) -> Environment:
    packages = dict.fromkeys((package, PACKAGE))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(one, "templates") for one in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=words, data_json=data_json)
    environment.globals.update(served=None)  # pages that lie on a disk
    return environment
