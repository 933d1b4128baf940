"""Files of a store: each seen whole or not at all."""

from __future__ import annotations

import filecmp
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from fvlm_data.store.place import as_os_errors


def write_whole(filesystem: Any, target: str, content: bytes, *, local: bool) -> None:
    """Write a file under a temporary name and rename it; on object storage by one put.

    Raises:
        OSError: no space, no permission, or the place is gone.
    """
    if not local:
        with as_os_errors():
            filesystem.pipe_file(target, content)
        return
    final = Path(target)
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(final)
    finally:
        draft.unlink(missing_ok=True)


def put_whole_tree(filesystem: Any, folder: Path, target: str, *, local: bool) -> None:
    """Copy a local folder of files; a folder already there is replaced where it differs.

    In a folder it is seen whole or not at all; on object storage its files appear one by one, so
    that the row which names it must come after. Paths of trees are made from content hashes: an
    equal tree at the place is left, and is touched so that tidying spares it until a row names it.

    Raises:
        OSError: no space, no permission, or the place is gone.
    """
    if not local:
        with as_os_errors():
            filesystem.put(f"{folder}/", f"{target}/", recursive=True)
        return
    final = Path(target)
    if final.exists():
        if _same(final, folder):
            for file in final.rglob("*"):
                file.touch()
            return
        _put_away(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
    try:
        shutil.copytree(folder, draft)
        draft.rename(final)
    except OSError:
        if not final.exists():  # else another run put the same tree first
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _same(one: Path, two: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    sizes = _sizes(one)
    return sizes == _sizes(two) and all(
        filecmp.cmp(one / name, two / name, shallow=False) for name in sizes
    )


def _sizes(folder: Path) -> dict[str, int]:
    return {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file()
    }


def _put_away(damaged: Path) -> None:
    """Take a damaged tree from its place in one step; its draft's name marks it as rubbish."""
    aside = damaged.with_name(f".{damaged.name}.{secrets.token_hex(4)}.tmp")
    damaged.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
