"""Faults of a file as one sentence: file, line, entry, what was found and what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from fvlm_data.vocabulary.overlay import id_of, meant
from fvlm_data.vocabulary.tree import at, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError

    from fvlm_data.vocabulary.tree import Node

_KINDS = {"anatomies": "anatomy", "findings": "finding"}
_SHOWN = 60
"""Names up to which an error lists all that it expected."""


def sentence(error: ValidationError, tree: Node, model: type[BaseModel]) -> str:
    """The first fault of a file; an unknown key before all others, since it explains them."""
    faults = error.errors(include_url=False, include_context=False)
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    path = [step for step in fault["loc"] if step != "[key]"]
    node = at(tree, path)
    where = f"{node.place}: {subject(tree, path)}"
    if fault["type"] == "extra_forbidden":
        known = _keys(model, path[:-1])
        return (
            f"{where}{path[-1]} is not a known key{meant(str(path[-1]), known)}; expected one of "
            f"{', '.join(known)}"
        )
    if fault["type"] == "missing":
        return f"{where}{path[-1]} is missing; expected it as in the built-in file"
    named = _inner(path)
    told = fault["msg"][0].lower() + fault["msg"][1:]
    found = plain(node)
    shown = f", found {found!r}" if not isinstance(found, dict | list) else ""
    # YAML 1.1 reads no, off and yes as booleans
    hint = " (put it in quotes)" if isinstance(found, bool) else ""
    return f"{where}{named}{told}{shown}{hint}"


def unknown(node: Node, entry: str, what: str, name: str, known: Sequence[str]) -> str:
    """That a name is not known, with all known ones where they are few."""
    listed = (
        f"expected one of {', '.join(known)}" if len(known) <= _SHOWN else "expected a known id"
    )
    return f"{node.place}: {entry}{what} {name!r} is not known; {listed}{meant(name, known)}"


def subject(tree: Node, path: Sequence[str | int]) -> str:
    """The entry that a path leads into, as `finding 'liver_cyst': `; empty outside entries."""
    for length in range(len(path), 0, -1):
        name = id_of(at(tree, path[:length]))
        if name is not None:
            return f"{_KINDS.get(str(path[0]), 'entry')} {name!r}: "
    return ""


def _inner(path: Sequence[str | int]) -> str:
    """The last key of a path, before what is wrong with it."""
    keys = [str(step) for step in path if isinstance(step, str)]
    return f"{keys[-1]}: " if keys else ""


def _keys(model: Any, path: Sequence[str | int]) -> list[str]:
    """Keys that are known where a path leads."""
    for step in path:
        fields = getattr(model, "model_fields", None)
        # the keys of a mapping are names, and its values models
        named = step if fields and step in fields else "root"
        annotation = fields[named].annotation if fields and named in fields else None
        inner = _model_in(annotation)
        model = inner or model
    return sorted(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(one) for one in get_args(annotation))
    return next((one for one in found if one is not None), None)
