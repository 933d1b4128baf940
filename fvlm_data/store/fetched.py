"""Files of tables on object storage, fetched once per process: a table's files never change."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.store.place import as_os_errors
from fvlm_data.store.reading import private_folder

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fetched:
    """Local copies of table files, in a folder that is removed when the process ends."""

    def __init__(self, filesystem: Any, tables: str) -> None:
        """`tables` is the path of the store's tables in the filesystem."""
        self._fs = filesystem
        self._tables = tables
        self._folder = Path(tempfile.mkdtemp(dir=private_folder()))

    def folder(self, table: str, paths: Sequence[str]) -> str:
        """The local folder that holds `paths` of a table; those that are missing are fetched.

        Raises:
            OSError: a file is not there or cannot be fetched.
        """
        local = self._folder / table
        lacking = [path for path in paths if not (local / path).exists()]
        if lacking:
            for path in lacking:
                (local / path).parent.mkdir(parents=True, exist_ok=True)
            with as_os_errors():
                contents = self._fs.cat([f"{self._tables}/{table}/{path}" for path in lacking])
            # fsspec answers a list with a dictionary, even a list of one path
            for path in lacking:
                (local / path).write_bytes(contents[f"{self._tables}/{table}/{path}"])
        return str(local)
