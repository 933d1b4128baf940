"""What a configuration is assembled from: files, presets, `--set`; plain trees of values."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fvlm_data.errors import ConfigError
from fvlm_data.run.sections import model_below
from fvlm_data.settings import is_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel


def read_file(path: Path) -> dict[str, Any]:
    """The sections of a configuration file; empty for an empty file.

    Raises:
        ConfigError: the file cannot be read, or is no mapping in YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        loaded = yaml.safe_load(text)
        _check_keys(path, yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        # `from None`: PyYAML's own message quotes lines of the file, which may hold names
        raise ConfigError(f"configuration {path}: no valid YAML{line}") from None
    except FileNotFoundError:
        raise ConfigError(f"configuration {path}: not found{_nearest(path)}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"configuration {path}: cannot be read ({type(error).__name__}); expected a YAML "
            "file in UTF-8"
        ) from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"configuration {path}: expected a mapping of sections")
    return loaded


def _nearest(path: Path) -> str:
    """The file beside it that may be meant, or what makes one."""
    folder = path.parent
    beside = [one.name for one in folder.glob("*.y*ml")] if folder.is_dir() else []
    near = get_close_matches(path.name, beside, 1)
    if near:
        return f" (did you mean {folder / near[0]}?)"
    return "; `fvlm-data init FOLDER` writes one from what lies in a folder"


def _check_keys(path: Path, node: Any) -> None:
    """Refuse a key that stands twice: PyYAML would silently keep the last of them."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise ConfigError(
                    f"configuration {path}: {name} in line {key.start_mark.line + 1} stands twice; "
                    "expected it once"
                )
            seen.add(name)
            _check_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_keys(path, value)


def preset_values(package: str, name: str) -> dict[str, Any]:
    """The values of a preset, a file presets/NAME.yaml of a package."""
    text = files(package).joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def read_override(override: str) -> dict[str, Any]:
    """The tree that `section.key=value` stands for; the value is YAML.

    Raises:
        ConfigError: it does not have that form.
    """
    name, separator, text = override.partition("=")
    if not separator or not all(name.split(".")):
        raise ConfigError(f"--set {name}: expected section.key=value")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"--set {name}: the value is no valid YAML") from None
    for part in reversed(name.split(".")):
        value = {part: value}
    return dict(value)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A new tree of `base` with the keys of `over` laid over it, section by section."""
    result = dict(base)
    for name, value in over.items():
        before = result.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            result[name] = merged(before, value)
        else:
            result[name] = value
    return result


def anchored(model: type[BaseModel], given: Any, folder: Path) -> Any:
    """A new tree in which relative paths begin at `folder`; `model` says what is a path.

    Keys that the model does not know stay as they are, for validation to name.
    """
    if isinstance(given, list | tuple):
        return [anchored(model, one, folder) for one in given]
    if not isinstance(given, dict):
        return given
    made = dict(given)
    for name, value in given.items():
        field = model.model_fields.get(name) if isinstance(name, str) else None
        if field is None or not value:
            continue
        below = model_below(model, name)
        if below is not None:
            made[name] = anchored(below, value, folder)
        elif is_path(field, value):
            made[name] = _absolute(value, folder)
    return made


def _absolute(value: Any, folder: Path) -> Any:
    if not isinstance(value, str) or "://" in value or Path(value).is_absolute():
        return value
    return str(folder / Path(value).expanduser())
