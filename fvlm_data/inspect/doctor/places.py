"""Folders of a configuration: inputs, store, vault, temporary files; rights and room."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.errors import FvlmError
from fvlm_data.inspect.forecast import forecast
from fvlm_data.inspect.vault import names_checks
from fvlm_data.inspect.verify import Check
from fvlm_data.run.records import open_vault, vault_folder
from fvlm_data.run.registry import stage_entry
from fvlm_data.run.stages import stage_names
from fvlm_data.store.declared import Context
from fvlm_data.store.place import MARK
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.run.config import Config

LEAST_GB = 5.0
"""Room below which a run of any size ends for want of it."""

GB = 1e9


def place_checks(config: Config) -> list[Check]:
    """Statements of the configuration's places."""
    return [*_inputs(config), *_store(config), *_plan(config), _temporary(config)]


def _inputs(config: Config) -> Iterator[Check]:
    """What each stage checks before a run begins: paths, formats, backends."""
    for name in stage_names(config):
        check = stage_entry(name).check
        if check is None:
            continue
        try:
            check(config)
        except FvlmError as error:
            yield Check(
                f"stage {name} can begin", False, str(error), remedy="mend the configuration"
            )
        else:
            yield Check(f"stage {name} can begin", True, "its inputs and settings are there")


def _store(config: Config) -> Iterator[Check]:
    remote = "://" in config.store and not config.store.startswith("file://")
    root = Path(config.store.removeprefix("file://"))
    if not remote:
        yield _room("the store", root)
    if not remote and not (root / MARK).exists():
        yield Check("the store opens", True, "not made yet; the first run makes it")
        if config.identity.vault is not None:
            yield _room("the vault", config.identity.vault)
        return
    try:
        store = Store.open(config.store)
        folder = vault_folder(store, config)
        if folder.is_dir():  # looked at first, since opening a vault mends its rights
            yield _private(folder)
        vault = open_vault(store, config)
    except FvlmError as error:
        yield Check("store and vault open", False, str(error), remedy="see there")
        return
    yield Check("store and vault open", True, store.url)
    yield from names_checks(Context(store, vault, "doctor"))


def _plan(config: Config) -> Iterator[Check]:
    """Room for what the plan would write: as large as what is new in the sources, at least."""
    local = tuple(one for one in config.sources if not one.url and one.path and one.path.exists())
    if not local or "://" in config.store:
        return
    try:
        seen = forecast(config.model_copy(update={"sources": local}), ["ingest"])
    except FvlmError:
        return  # said by another statement
    new = sum(one.new for one in seen.inputs)
    needed = sum(one.new_bytes or 0 for one in seen.inputs) + sum(seen.size_bytes.values())
    free = shutil.disk_usage(_standing(Path(config.store))).free
    yield Check(
        "the store has room for what the sources bring",
        free >= needed,
        f"{new} new or changed files, {needed / GB:.3g} GB to write; {free / GB:.1f} GB free",
        remedy="free space, name another store, or take the sources in one after the other: what "
        "is written is about as large as uncompressed DICOM, and shards come beside it",
    )


def _standing(folder: Path) -> Path:
    """The nearest folder above that is there."""
    there = folder.resolve()
    while not there.exists():
        there = there.parent
    return there


def _room(what: str, folder: Path) -> Check:
    there = _standing(folder)
    free = shutil.disk_usage(there).free / GB
    writable = os.access(there, os.W_OK)
    return Check(
        f"{what} has room, and can be written",
        writable and free >= LEAST_GB,
        f"{free:.1f} GB free in {there}{'' if writable else ', no right to write'}",
        remedy=f"free space (at least {LEAST_GB:g} GB), or name another folder",
    )


def _private(vault: Path) -> Check:
    mode = stat.S_IMODE(vault.stat().st_mode)
    return Check(
        "the vault is readable by its owner only",
        os.name != "posix" or not mode & (stat.S_IRWXG | stat.S_IRWXO),
        f"{mode:o} of {vault}",
        remedy=f"chmod -R go= {vault}",
    )


def _temporary(config: Config) -> Check:
    folder = Path(config.execution.spill or tempfile.gettempdir())
    check = _room("the folder of temporary files", folder)
    if check.passed and folder.exists():
        with tempfile.TemporaryFile(dir=folder):  # a full quota shows only when something is made
            pass
    return check
