"""The sections `train` and `evaluate` of a project configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from fvlm_data.errors import ConfigError
from fvlm_train.config.presets import merged

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SECTIONS = ("train", "evaluate")


def read_sections(path: Path | None, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Both sections as given, `overrides` (section.key=value, a YAML value) laid over the file.

    Other sections belong to fvlm-data and are passed over.

    Raises:
        ConfigError: the file is no YAML mapping, or an override names no place in a section.
    """
    tree = _read(path) if path else {}
    sections: dict[str, Any] = {name: tree.get(name) or {} for name in SECTIONS}
    for override in overrides:
        sections = merged(sections, _parsed(override))
    return sections


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"configuration {path}: cannot be read ({type(error).__name__})"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"configuration {path}: no valid YAML") from error
    if loaded is not None and not isinstance(loaded, dict):
        raise ConfigError(f"configuration {path}: expected a mapping of sections")
    return loaded or {}


def _parsed(override: str) -> dict[str, Any]:
    name, equals, text = override.partition("=")
    section, *keys = name.split(".")
    if not equals or section not in SECTIONS or not keys or not all(keys):
        raise ConfigError(f"--set {override}: expected train.key=value or evaluate.key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is no valid YAML") from error
    for key in reversed(keys):
        value = {key: value}
    return {section: value}
