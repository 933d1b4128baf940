"""Files on object storage that never change, such as those of tables, fetched once per process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.store.place import as_os_errors
from fvlm_data.store.reading import private_folder

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fetched:
    """Local copies of files, in a folder that is removed when the process ends."""

    def __init__(self, filesystem: Any, root: str) -> None:
        """`root` is the path of the store in the filesystem."""
        self._fs = filesystem
        self._root = root
        self._folder = Path(tempfile.mkdtemp(dir=private_folder()))

    def folder(self, folder: str, paths: Sequence[str]) -> str:
        """The local copy of a folder of the store that holds `paths`; missing ones are fetched.

        Raises:
            OSError: a file is not there or cannot be fetched.
        """
        local = self._folder / folder
        lacking = [path for path in paths if not (local / path).exists()]
        if lacking:
            for path in lacking:
                (local / path).parent.mkdir(parents=True, exist_ok=True)
            with as_os_errors():
                contents = self._fs.cat([f"{self._root}/{folder}/{path}" for path in lacking])
            # fsspec answers a list with a dictionary, even a list of one path
            for path in lacking:
                (local / path).write_bytes(contents[f"{self._root}/{folder}/{path}"])
        return str(local)
