"""What the values of a precomputed label map mean, and whether the file itself agrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from fvlm_data.errors import ConfigError
from fvlm_data.segment.config import LIBRARY_SYSTEMS
from fvlm_data.segment.library_classes import library_classes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fvlm_data.vocabulary import Vocabulary

MAX_VALUE = 65535


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Names of values in one class system."""

    class_system: str
    classes: Mapping[int, str]


def declared_classes(declared: str, folder: Path, vocabulary: Vocabulary) -> ClassMap:
    """The class map that `declared` names: a TotalSegmentator version, or a YAML file.

    A relative path is looked up from `folder`.

    Raises:
        ConfigError: it is neither, or the file has not the expected form.
    """
    if declared in LIBRARY_SYSTEMS:
        return ClassMap(declared, library_classes(declared))
    path = folder / declared
    if not path.is_file():
        raise ConfigError(
            f"classes {declared}: neither {' nor '.join(LIBRARY_SYSTEMS)} nor a file; expected "
            "one of them or the path of a YAML file with class_system and classes"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"classes {declared}: cannot be read as YAML") from error
    return _checked(declared, content, vocabulary.systems)


def disagreement(declared: ClassMap, embedded: Mapping[int, str]) -> str:
    """Why the names inside a file contradict the declared class map; empty where they do not.

    TotalSegmentator's v1 and v2 give the same names to other values, so that a wrong
    declaration would silently exchange organs.
    """
    # a user's own map may use names of its own: there only a known name at another value
    # contradicts
    library = declared.class_system in LIBRARY_SYSTEMS
    own_names = set(declared.classes.values())
    wrong = {
        value: name
        for value, name in embedded.items()
        if declared.classes.get(value) != name and (library or name in own_names)
    }
    if not wrong:
        return ""
    value = min(wrong)
    fitting = [s for s in LIBRARY_SYSTEMS if embedded.items() <= library_classes(s).items()]
    advice = f"declare {' or '.join(fitting)}" if fitting else "mend the declaration or the file"
    return (
        f"the file itself names {len(wrong)} of {len(embedded)} values otherwise than "
        f"{declared.class_system}: value {value} is {_shown(wrong[value], own_names)}, declared "
        f"{declared.classes.get(value, 'nothing')}; {advice}"
    )


def _shown(name: str, own_names: set[str]) -> str:
    """A name of a class; another may be a person's, whose mask somebody has called after them."""
    known = own_names.union(*(library_classes(system).values() for system in LIBRARY_SYSTEMS))
    return name if name in known else "called by no class's name"


def unnamed_values(declared: ClassMap, present: Sequence[int]) -> list[int]:
    """Values that a label map holds and the class map does not name, sorted."""
    return sorted(value for value in present if value and value not in declared.classes)


def _checked(declared: str, content: Any, systems: Sequence[str]) -> ClassMap:
    keys = set(content) if isinstance(content, dict) else set()
    if keys != {"class_system", "classes"} or not isinstance(content["classes"], dict):
        raise ConfigError(
            f"classes {declared}: expected exactly class_system and classes: {{value: name}}, "
            f"found {', '.join(sorted(map(str, keys))) or 'no mapping'}"
        )
    system = str(content["class_system"])
    if system not in systems:
        raise ConfigError(
            f"classes {declared}: class_system {system} is not known; known are "
            f"{', '.join(systems)}; name the one whose class names the file uses "
            "(anatomy: the names are anatomy ids)"
        )
    classes: dict[int, str] = {}
    for value, name in content["classes"].items():
        if not isinstance(value, int) or not 0 < value <= MAX_VALUE or not isinstance(name, str):
            raise ConfigError(
                f"classes {declared}: expected whole numbers from 1 to {MAX_VALUE} with names, "
                f"found {len(classes)} of that form before another one"
            )
        classes[value] = name
    if len(set(classes.values())) != len(classes):
        raise ConfigError(f"classes {declared}: a name stands at two values; expected one each")
    return ClassMap(system, classes)
