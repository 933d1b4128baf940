"""What the pages were made of: if that is as it was, nothing is read or made anew.

The first page ends with a line that holds one hash of all that the pages rest on (versions of the
tables, settings, vocabulary, this program, the files beside the page by name and size) and one of
the page itself. A page that is cut or changed, and one that could not be made whole, has no such
line or a wrong one.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import schemas
from fvlm_data.hashing import content_key
from fvlm_data.store.place import QC_PAGE

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from fvlm_data.qc.config import QcConfig
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

LINE = re.compile(rb"<!-- made of ([0-9a-f]{64}), page ([0-9a-f]{64}) -->\n\Z")


def inputs_key(store: Store, vocabulary: Vocabulary, config: QcConfig) -> str:
    """Hash of what the pages are made from; asked before anything of it is read.

    Raises:
        StoreError: a table is missing or damaged.
    """
    versions = {name: store.version(name) for name in schemas.TABLES}
    return content_key(versions, vocabulary.sha256(), config.model_dump(), _program())


def files_key(store: Store, inputs: str) -> str:
    """Hash of inputs and of the files that lie beside the first page."""
    sizes = {path: size for path, size in store.sizes("qc").items() if path != QC_PAGE}
    return content_key(inputs, sizes)


def signed(page: bytes, key: str) -> bytes:
    """The page with its last line."""
    own = hashlib.sha256(page).hexdigest()
    return page + f"<!-- made of {key}, page {own} -->\n".encode("ascii")


def unsigned(page: bytes) -> bytes:
    """The page without that line."""
    return LINE.sub(b"", page)


def is_made_of(page: bytes, key: str) -> bool:
    """Whether the page is whole and was made of that."""
    line = LINE.search(page)
    if line is None or line[1].decode("ascii") != key:
        return False
    return hashlib.sha256(page[: line.start()]).hexdigest() == line[2].decode("ascii")


@cache
def _program() -> str:
    """Hash of the files of this package, templates and scripts with them."""
    digest = hashlib.sha256()
    for name, file in sorted(_files(resources.files("fvlm_data.qc"), "")):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _files(folder: Traversable, below: str) -> list[tuple[str, Traversable]]:
    found = []
    for one in folder.iterdir():
        name = f"{below}{one.name}"
        if one.is_file() and not name.endswith(".pyc"):
            found.append((name, one))
        elif one.is_dir():
            found += _files(one, f"{name}/")
    return found
