"""Configuration and sentences without names, places, ids and secrets.

Of the configuration is kept what is known to be harmless, words of the schema and numbers; what
was not kept is looked for in all sentences, with what else names this machine or its user.
"""

from __future__ import annotations

import getpass
import re
import tempfile
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Any

from fvlm_data.run.config import config_model
from fvlm_data.run.registry import all_lists
from fvlm_data.vocabulary.files import built_in_classes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fvlm_data.run.config import Config

WITHHELD = "<withheld>"
SHORTEST = 3
"""Shorter values are not looked for: they are in every word."""

_SHAPES = re.compile(
    r"""
    [a-z][a-z0-9+]*://[^\s'"]+          # a URL
    | [\w.+-]+@[\w-]+(\.[\w-]+)+        # a mail address
    | (?<![\w<])[\\/~][^\s'":,;()]+     # a path from its root
    | [A-Za-z]:\\[^\s'"]+
    | \b[a-z]{1,3}_[0-9a-f]{16,}\b      # an id of a store
    | \b\d+(\.\d+){5,}\b                # a UID
    | \b\d{1,3}(\.\d{1,3}){3}\b         # an address of a machine
    """,
    re.VERBOSE,
)


def unnamed_configuration(config: Config) -> dict[str, Any]:
    """The configuration with each value withheld that is neither a number nor a known word."""
    known = _known_words()
    plain = config.model_dump(mode="json")
    return {name: _kept(value, known) for name, value in plain.items()}


def unnamed(text: str, hidden: Iterable[str]) -> str:
    """A sentence without the values `hidden`, and without what has the shape of a name or place."""
    for one in sorted(hidden, key=len, reverse=True):
        text = re.sub(re.escape(one), WITHHELD, text, flags=re.IGNORECASE)
    return _SHAPES.sub(WITHHELD, text)


def hidden_values(config: Config | None, places: Iterable[str] = ()) -> set[str]:
    """What may stand nowhere: values of the configuration, `places`, this machine and its user."""
    found = {str(Path.home()), str(Path.cwd()), tempfile.gettempdir(), node(), _user(), *places}
    if config is not None:
        known = _known_words()
        found.update(_withheld(config.model_dump(mode="json"), known))
        found.update(one.label for one in config.sources)
        found.update(one.label for one in config.reports)
    # a part of a path may be a patient's name, and stand without the others
    parts = {part for one in found if "/" in one for part in re.split(r"[/:?&=]+", one)}
    harmless = _known_words() | {"http", "https", "file", "tmp", "home", "root", "var", "usr"}
    return {one for one in found | parts if len(one) >= SHORTEST and one.lower() not in harmless}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return ""


def _kept(value: Any, known: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {
            name if name in known else f"{WITHHELD} {number}": _kept(one, known)
            for number, (name, one) in enumerate(value.items())
        }
    if isinstance(value, list):
        return [_kept(one, known) for one in value]
    return WITHHELD if isinstance(value, str) and value not in known else value


def _withheld(value: Any, known: frozenset[str]) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (name for name in value if name not in known)
        for one in value.values():
            yield from _withheld(one, known)
    elif isinstance(value, list):
        for one in value:
            yield from _withheld(one, known)
    elif isinstance(value, str) and value not in known:
        yield value


def _known_words() -> frozenset[str]:
    """Keys of the configuration, the values that its schema names, kinds, and anatomies."""
    words = set(_words(config_model().model_json_schema()))
    for extensions in all_lists().values():
        words.update(extensions.own)
    return frozenset(words | set(built_in_classes().anatomies))


def _words(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _words(one)
    if not isinstance(schema, dict):
        return
    yield from schema.get("properties", {})
    for key in ("enum", "examples", "default", "const"):
        yield from _strings(schema.get(key))
    for one in schema.values():
        yield from _words(one)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _strings(one)
