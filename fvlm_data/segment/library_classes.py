"""Class names of the TotalSegmentator library: from the installed one, else from its record.

`python -m fvlm_data.segment.library_classes FOLDER` (with the library installed) writes the
record again; a test compares both where the library is installed.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module, metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

LIBRARY_TASKS = {"totalsegmentator_v1": "total_v1", "totalsegmentator_v2": "total"}
"""Class system to the name of its table in the library's class_map."""

DISTRIBUTION = "TotalSegmentator"


@cache
def library_classes(system: str) -> Mapping[int, str]:
    """Value to class name of `system`: of the installed library, else as recorded from it.

    Raises:
        ConfigError: `system` is none of the library's.
    """
    if system not in LIBRARY_TASKS:
        known = ", ".join(LIBRARY_TASKS)
        raise ConfigError(f"class system {system}: not one of TotalSegmentator's ({known})")
    return installed_classes(LIBRARY_TASKS[system]) or recorded_classes(system)


def installed_classes(task: str) -> dict[int, str]:
    """Value to class name of a task of the installed library; empty where it is not installed.

    Raises:
        ConfigError: the library is installed and has no such task.
    """
    try:
        class_map = import_module("totalsegmentator.map_to_binary").class_map
    except ImportError:
        return {}
    if task not in class_map:
        raise ConfigError(
            f"segment.task {task}: the installed TotalSegmentator has no such task; it has "
            f"{', '.join(sorted(class_map))}"
        )
    return {int(value): str(name) for value, name in class_map[task].items()}


def recorded_classes(system: str) -> dict[int, str]:
    """Value to class name as recorded from the library (file class_tables/<system>.yaml)."""
    table = resources.files("fvlm_data.segment") / "class_tables" / f"{system}.yaml"
    content = yaml.safe_load(table.read_text(encoding="utf-8"))
    return {int(value): str(name) for value, name in content["classes"].items()}


def record(folder: Path) -> list[Path]:
    """Write the record of all class systems from the installed library; returns the files.

    Raises:
        ConfigError: the library is not installed.
    """
    written = []
    for system, task in LIBRARY_TASKS.items():
        classes = installed_classes(task)
        if not classes:
            raise ConfigError("TotalSegmentator is not installed; install fvlm[totalsegmentator]")
        content = {
            "made_by": "python -m fvlm_data.segment.library_classes",
            "library": f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}",
            "task": task,
            "classes": classes,
        }
        path = folder / f"{system}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    record(Path(sys.argv[1]))
