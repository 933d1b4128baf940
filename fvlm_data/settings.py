"""Marks on the keys of the configuration: whether a key decides results, whether it is a path.

A key without a mark decides: a forgotten mark costs repeated work, never a stale result.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic.config import JsonDict
    from pydantic.fields import FieldInfo

DECIDES_NOTHING: JsonDict = {"decides": False}
"""For a key of speed, of patience or of names: results are the same whatever it says."""

PLACE: JsonDict = {"decides": False, "path": True}
"""For a key that says where something lies: what lies there may decide, its path never does."""

PLACE_OF_YAML: JsonDict = {"decides": False, "path": [".yaml", ".yml"]}
"""For a key that holds a name or, with one of these endings, a path."""


def decides_with(key: str, value: str) -> JsonDict:
    """For a key that decides only if its sibling `key` has `value`."""
    return {"decides": {key: value}}


def deciding(section: BaseModel) -> dict[str, Any]:
    """The section as plain JSON without the keys that decide nothing: what may enter a key."""
    return _deciding(section, section.model_dump(mode="json"))


def decides_when(field: FieldInfo) -> bool | dict[str, str]:
    """Whether a key decides results, or the values of its siblings with which it does."""
    marked = _marks(field).get("decides", True)
    return marked if isinstance(marked, bool) else {str(k): str(v) for k, v in marked.items()}


def is_path(field: FieldInfo, value: Any) -> bool:
    """Whether `value` of a key is a path."""
    if _holds_path(field.annotation):
        return True
    marked = _marks(field).get("path", False)
    if isinstance(marked, list):
        return str(value).endswith(tuple(str(ending) for ending in marked))
    return bool(marked)


def _deciding(section: BaseModel, plain: dict[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, field in type(section).model_fields.items():
        when = decides_when(field)
        if not isinstance(when, bool):
            when = all(str(getattr(section, key)) == value for key, value in when.items())
        if when:
            kept[name] = _part(getattr(section, name), plain[name])
    return kept


def _part(value: Any, plain: Any) -> Any:
    if isinstance(value, BaseModel):
        return _deciding(value, plain)
    if isinstance(value, list | tuple):
        return [_part(one, shown) for one, shown in zip(value, plain, strict=True)]
    return plain


def _marks(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _holds_path(annotation: Any) -> bool:
    return annotation is Path or any(_holds_path(inner) for inner in get_args(annotation))
