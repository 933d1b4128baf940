"""A user's files laid over the built-in ones.

One rule: a mapping is merged key by key, a list whose entries have an `id` entry by entry, and any
other list or value replaces the built-in one. In the place of a list, `{add: [...], remove: [...]}`
changes the built-in list without repeating it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.vocabulary.tree import Node, plain

if TYPE_CHECKING:
    from collections.abc import Collection

_EDITS = frozenset({"add", "remove"})


def overlaid(base: Node, over: Node) -> Node:
    """What the files say together; places are those of the overlay where it says something.

    Raises:
        ConfigError: an entry has no id or stands twice, or what is to be removed is not there.
    """
    if _is_edit(over):
        return _edited(base, over)
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        merged = dict(base.value)
        for name, child in over.value.items():
            merged[name] = overlaid(base.value.get(name, _nothing(child)), child)
        return Node(merged, over.file, over.line)
    if isinstance(over.value, dict):
        return Node(
            {name: overlaid(_nothing(child), child) for name, child in over.value.items()},
            over.file,
            over.line,
        )
    if isinstance(base.value, list) and isinstance(over.value, list) and _has_ids(base, over):
        return _by_id(base, over)
    return over


def in_front(base: Node, over: Node) -> Node:
    """As `overlaid`, for a mapping whose order means something: new keys come first."""
    merged = overlaid(base, over)
    if not isinstance(base.value, dict) or not isinstance(merged.value, dict):
        return merged
    order = [*(name for name in merged.value if name not in base.value), *base.value]
    return Node({name: merged.value[name] for name in order}, merged.file, merged.line)


def refuse_repeats(entries: Node, what: str) -> None:
    """Refuse two entries of one id in a list.

    Raises:
        ConfigError: there are such; the sentence names the second.
    """
    seen: set[str] = set()
    for entry in entries.value if isinstance(entries.value, list) else ():
        name = id_of(entry)
        if name is not None and name in seen:
            raise ConfigError(f"{entry.place}: {what} {name!r} stands more than once")
        seen.add(name or "")


def id_of(entry: Node) -> str | None:
    """The id of an entry, none where it has none."""
    name = entry.value.get("id") if isinstance(entry.value, dict) else None
    return name.value if name is not None and isinstance(name.value, str) else None


def meant(name: str, known: Collection[str]) -> str:
    """What an unknown name may have meant, to end a sentence; empty where nothing is near."""
    near = get_close_matches(name, sorted(known), 1, 0.5)
    return f" (did you mean {near[0]}?)" if near else ""


def _nothing(child: Node) -> Node:
    return Node([] if _is_edit(child) else None, child.file, child.line)


def _is_edit(node: Node) -> bool:
    return isinstance(node.value, dict) and bool(node.value) and node.value.keys() <= _EDITS


def _edited(base: Node, over: Node) -> Node:
    if not isinstance(base.value, list) or not isinstance(over.value, dict):
        raise ConfigError(f"{over.place}: add and remove change a list, and here is none")
    parts: dict[str, list[Node]] = {"add": [], "remove": []}
    for name, node in over.value.items():
        if not isinstance(node.value, list):
            raise ConfigError(f"{node.place}: {name} expects a list, found {plain(node)!r}")
        parts[name] = node.value
    kept = list(base.value)
    for gone in parts["remove"]:
        stay = [item for item in kept if plain(item) != plain(gone) and id_of(item) != gone.value]
        if len(stay) == len(kept):
            known = [str(id_of(item) or plain(item)) for item in kept]
            raise ConfigError(
                f"{gone.place}: {plain(gone)!r} is not in the list and cannot be removed"
                f"{meant(str(plain(gone)), known)}"
            )
        kept = stay
    present = [plain(item) for item in kept]
    # what a later release builds in must not make a user's file a fault
    added = [item for item in parts["add"] if plain(item) not in present]
    return Node([*kept, *added], over.file, over.line)


def _has_ids(base: Node, over: Node) -> bool:
    items = [*(base.value or ()), *(over.value or ())]  # type: ignore[misc]
    return any(id_of(item) is not None for item in items if isinstance(item, Node))


def _by_id(base: Node, over: Node) -> Node:
    entries: dict[str | None, Node] = {}
    for entry in base.value if isinstance(base.value, list) else ():
        entries[id_of(entry)] = entry
    refuse_repeats(over, "entry")
    for entry in over.value if isinstance(over.value, list) else ():
        name = id_of(entry)
        if name is None:
            raise ConfigError(f"{entry.place}: an entry without id; expected `id: NAME` first")
        entries[name] = overlaid(entries.get(name, Node({}, entry.file, entry.line)), entry)
    return Node(list(entries.values()), over.file, over.line)
