"""The check of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.export import EXPORTS
from fvlm_data.export.run import Form, run_export, run_tables_export
from fvlm_data.export.source import open_source
from fvlm_data.store.tables import Store
from fvlm_data.testing.statements import require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fvlm_data.export.entry import Export


def check_export(
    name: str, store: str, folder: Path, options: Mapping[str, Any] | None = None
) -> None:
    """Write a store with samples twice below `folder`, under the folder names `a` and `b`.

    An export that refuses such names is written into folders of the name of `folder` there. Both
    hold the same bytes, and some; what it says of how to go on is a sentence.

    Raises:
        AssertionError: one of these does not hold.
    """
    entry: Export = EXPORTS.load(name)
    below = [one if entry.check is None else f"{one}/{folder.name}" for one in ("a", "b")]
    made = entry.options.model_validate(dict(options or {}))
    form = Form(name, entry, made, EXPORTS.made_by(name))
    first, second = (_written(form, store, folder / one) for one in below)
    require(bool(first), f"{name}: no file was written")
    require(first.keys() == second.keys(), f"{name}: the second copy has other files")
    differing = sorted(path for path in first if first[path] != second[path])
    require(not differing, f"{name}: {differing[:3]} differ from copy to copy")
    require(bool(entry.hint(folder / below[0]).strip()), f"{name}: it says nothing of what is next")


def _written(form: Form, store: str, folder: Path) -> dict[str, bytes]:
    told: list[tuple[int, int]] = []
    if form.export.check is not None:
        form.export.check(folder)
    if form.export.of == "tables":
        run_tables_export(Store.open(store), form, folder, lambda *done: told.append(done))
    else:
        run_export(open_source(store), form, folder, lambda *done: told.append(done))
    require(all(done <= total for done, total in told), f"{form.name}: progress runs past its end")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
