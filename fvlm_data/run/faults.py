"""A fault of the configuration in one sentence: its place, and the key probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError
from fvlm_data.run.sections import model_below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel, ValidationError


def fault_sentence(
    error: ValidationError, model: type[BaseModel], where: str, section: str = ""
) -> str:
    """The first fault that `model` found; the values themselves, maybe private, are left out.

    `where` names the configuration, `section` the place of the values in it.
    """
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    # a mistyped key may be the one that another fault misses
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    place = ".".join((*filter(None, [section]), *(str(part) for part in first["loc"])))
    if first["type"] == "extra_forbidden":
        near = _meant(model, first["loc"], section)
        meant = f" (did you mean {near}?)" if near else ""
        return f"{where}: {place} is not a known key{meant}; see docs/configuration.md"
    if first["type"] == "missing":
        return f"{where}: {place} is missing"
    told = first["msg"].removeprefix("Value error, ")
    return f"{where}: {place}: {told}" if place else f"{where}: {told}"


def _meant(model: type[BaseModel], place: tuple[int | str, ...], section: str) -> str:
    """The nearest key on the same level, else the place of the only key of that name."""
    names = [name for name in place if isinstance(name, str)]
    beside: Any = model
    for name in names[:-1]:
        beside = model_below(beside, name) if beside is not None else None
    known: list[str] = list(beside.model_fields) if beside is not None else []
    near = get_close_matches(names[-1], known, 1)
    if near:
        return near[0]
    elsewhere = [one for one in _places(model, section) if one.endswith(f".{names[-1]}")]
    return elsewhere[0] if len(elsewhere) == 1 else ""


def _places(model: type[BaseModel], place: str) -> Iterator[str]:
    """The dotted place of every key below `model`."""
    for name in model.model_fields:
        here = f"{place}.{name}" if place else name
        yield here
        try:
            below = model_below(model, name)
        except ConfigError:  # a package that does not load is no matter of this fault
            continue
        if below is not None:
            yield from _places(below, here)
