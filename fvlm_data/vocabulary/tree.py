"""YAML as a tree that knows the file and line of everything in it, so that errors can say them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Node:
    """A mapping of nodes, a list of nodes, or a plain value, and where it stands.

    `file` is what errors call the file; `line` is that of the key that has the value, from 1.
    """

    value: dict[str, Node] | list[Node] | str | float | bool | None
    file: str
    line: int

    @property
    def place(self) -> str:
        """File and line, as errors begin."""
        return f"{self.file}, line {self.line}"


def read_tree(text: str, file: str) -> Node:
    """The content of a YAML file; an empty one is an empty mapping.

    Raises:
        ConfigError: it is no YAML, no mapping, or a key stands twice.
    """
    loader = LOADER(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Node({}, file, 1)
        node = _node(root, loader, file, root.start_mark.line + 1)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}, line {mark.line + 1}" if mark else file
        raise ConfigError(
            f"{where}: no valid YAML ({getattr(error, 'problem', None) or 'cannot be read'})"
        ) from None
    finally:
        loader.dispose()
    if not isinstance(node.value, dict):
        raise ConfigError(f"{node.place}: expected a mapping, as in the built-in file of this name")
    return node


def _node(found: Any, loader: Any, file: str, line: int) -> Node:
    if isinstance(found, yaml.MappingNode):
        made: dict[str, Node] = {}
        for key, value in found.value:
            name, at = str(key.value), key.start_mark.line + 1
            # PyYAML would silently keep the last of two equal keys
            if name in made:
                raise ConfigError(f"{file}, line {at}: {name} stands twice; expected it once")
            made[name] = _node(value, loader, file, at)
        return Node(made, file, line)
    if isinstance(found, yaml.SequenceNode):
        items = [_node(item, loader, file, item.start_mark.line + 1) for item in found.value]
        return Node(items, file, line)
    # most values are texts, which need no constructor
    text = found.tag == TEXT
    return Node(found.value if text else loader.construct_object(found), file, line)


def plain(node: Node) -> Any:
    """The content without its places."""
    if isinstance(node.value, dict):
        return {name: plain(child) for name, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def at(node: Node, path: Sequence[str | int]) -> Node:
    """The node at a path of keys and places in lists, or the last one on the way to it."""
    for step in path:
        child: Node | None = None
        if isinstance(node.value, dict):
            child = node.value.get(str(step))
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
        if child is None:
            break
        node = child
    return node
