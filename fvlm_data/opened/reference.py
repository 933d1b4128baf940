"""The page of public names of Python, from the code: these names stay.

python -m fvlm_data.opened.reference > docs/python-names.md
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# Names in Python

Made from the code: `python -m fvlm_data.opened.reference > docs/python-names.md`. These names stay:
one goes only with a decision, after a version that warns. [Python](python.md) shows them at work.
"""
FUNCTIONS = (
    "fvlm_data:open_store",
    "fvlm_data.pairing:targets",
    "fvlm_data.identity:link_key",
    "fvlm_data.vocabulary:Vocabulary.load",
)
CLASSES = (
    "fvlm_data.opened.store:OpenedStore",
    "fvlm_data.opened.store:StoredTable",
    "fvlm_data.opened.studies:Studies",
    "fvlm_data.opened.study:Study",
    "fvlm_data.opened.volume:Volume",
    "fvlm_data.opened.report:StoredReport",
    "fvlm_data.reports:ReportParser",
    "fvlm_data.reports:ParsedReport",
    "fvlm_data.shards:ShardDataset",
)
"""Where each comes from; those of the first lines are also had from `fvlm_data` itself."""


def python_markdown() -> str:
    """The page."""
    lines = [HEAD, "| function | what it gives |", "|---|---|"]
    lines += [_row(place.replace(":", "."), _found(place)) for place in FUNCTIONS]
    for place in CLASSES:
        one = _found(place)
        lines += ["", f"## {one.__name__}", "", f"`{place.replace(':', '.')}`: {_first(one)}", ""]
        lines += ["| name | what it gives |", "|---|---|", *_members(one)]
    return "\n".join(lines) + "\n"


def names() -> list[str]:
    """All public names, as `Class.name`."""
    found = [place.rpartition(":")[2] for place in FUNCTIONS]
    for place in CLASSES:
        one = _found(place)
        found += [f"{one.__name__}.{name}" for name in _public(one)]
    return sorted(found)


def _found(place: str) -> Any:
    module, _, path = place.partition(":")
    one: Any = import_module(module)
    for name in path.split("."):
        one = getattr(one, name)
    return one


def _public(one: Any) -> list[str]:
    fields = [name for name in getattr(one, "__dataclass_fields__", ()) if name[0] != "_"]
    own = [name for name in vars(one) if name[0] != "_" and name not in fields]
    return fields + [n for n in own if callable(getattr(one, n)) or _is_property(vars(one)[n])]


def _is_property(value: Any) -> bool:
    return isinstance(value, property) or hasattr(value, "func")


def _members(one: Any) -> Iterator[str]:
    for name in _public(one):
        member = vars(one).get(name)
        if name in getattr(one, "__dataclass_fields__", ()):
            kind = one.__dataclass_fields__[name].type
            yield f"| `{name}` | {_cell(str(kind))} |"
        else:
            yield _row(name, getattr(member, "__func__", member))


def _row(name: str, one: Any) -> str:
    if _is_property(one):
        return f"| `{name}` | {_first(one)} |"
    return f"| `{name}{_signature(one)}` | {_first(one)} |"


def _signature(function: Any) -> str:
    taken = [
        one.replace(annotation=inspect.Parameter.empty)
        for name, one in inspect.signature(function).parameters.items()
        if name not in ("self", "cls")
    ]
    told = str(inspect.Signature(taken))
    return _cell(told) if len(told) < 60 else "(...)"


def _first(one: Any) -> str:
    return _cell((inspect.getdoc(one) or "").partition("\n\n")[0].replace("\n", " "))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(python_markdown())
