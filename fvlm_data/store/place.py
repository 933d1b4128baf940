"""Where a store lies, and how an empty one is made."""

from __future__ import annotations

import json
import re
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from fsspec.implementations.local import LocalFileSystem

import schemas
from fvlm_data.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MARK = "store.json"
"""The file that makes a folder a store: its version and id."""

NOT_READ = r"[\\\x00-\x1f]|%[0-9A-Fa-f]{2}"
"""What deltalake takes for URL syntax in a folder's name, and so looks in another place."""

NOT_WRITTEN = rf"[\[\]^|]|{NOT_READ}"
"""On these, deltalake's writer panics as well."""

QC_PAGE = "qc/index.html"
"""Where the page of figures lies in a store."""


def resolve(url: str | Path) -> tuple[str, Any, str]:
    """URL or absolute folder, filesystem, and path in that filesystem of a store.

    Raises:
        StoreError: the name is empty, or the URL is of an unknown kind or one that needs a
            package which is not installed, or its path cannot be read.
    """
    text = str(url)
    if not text.strip():  # else an unset shell variable would name the working folder
        raise StoreError("store: an empty name given, expected a folder or URL")
    if "://" not in text or text.startswith("file://"):
        folder = Path(text.removeprefix("file://")).expanduser().resolve()
        check_folder(str(folder), NOT_READ)
        return str(folder), LocalFileSystem(), str(folder)
    try:
        # other processes write too: a cached listing would hide their files
        filesystem, root = fsspec.core.url_to_fs(text, use_listings_cache=False)
    except ImportError as error:
        raise StoreError(
            f"store {text}: this kind of URL needs a package that is not installed ({error}); for "
            "s3:// install fvlm[s3]"
        ) from error
    except ValueError as error:  # a protocol that no package has
        raise StoreError(f"store {text}: {error}; expected a folder or a URL as s3://") from error
    return text.rstrip("/"), filesystem, str(root).rstrip("/")


def check_folder(url: str, refused: str = NOT_WRITTEN) -> None:
    """Refuse a folder whose path deltalake cannot handle.

    Raises:
        StoreError: a part of it matches `refused`.
    """
    found = None if "://" in url else re.search(refused, url)
    if found:
        raise StoreError(
            f"store {url}: its path holds {found.group()!r}, which the library of the tables "
            "cannot bear; expected none of [ ] ^ | \\ or %XX; name another folder, or rename it"
        )


def table_url(url: str, filesystem: Any, root: str, table: str) -> str:
    """Where a table of a store lies, as Delta Lake takes it."""
    base = root if isinstance(filesystem, LocalFileSystem) else url
    return f"{base}/tables/{table}"


def read_mark(url: str, filesystem: Any, root: str, older: Collection[int] = ()) -> str:
    """The id of the store at a place; `older` versions are accepted only to upgrade it.

    Raises:
        StoreError: there is no store, it cannot be read, or its version differs.
    """
    try:
        mark = dict(json.loads(filesystem.cat_file(f"{root}/{MARK}")))
        store_id = str(mark["store_id"])
    except FileNotFoundError as error:
        raise StoreError(
            f"store {url}: no store found there (no {MARK}); make one with `fvlm-data "
            "ingest SOURCE --store STORE` or check the path"
        ) from error
    except Exception as error:  # object storage raises classes of its own
        raise StoreError(
            f"store {url}: {MARK} cannot be read ({type(error).__name__}); "
            "check permissions and credentials, or restore the file"
        ) from error
    if mark.get("version") not in older:
        check_version(url, mark.get("version"))
    return store_id


def is_there(url: str | Path, name: str = MARK) -> bool:
    """Whether a store is at this place (its mark is), or has a file of another `name`.

    Raises:
        StoreError: the place cannot be looked at.
    """
    _, filesystem, root = resolve(url)
    try:
        return bool(filesystem.exists(f"{root}/{name}"))
    except Exception as error:  # object storage raises classes of its own
        raise StoreError(
            f"store {url}: cannot be looked at ({type(error).__name__}); expected a folder or "
            "bucket that this user may read"
        ) from error


def make_where_missing(url: str, filesystem: Any, root: str) -> None:
    """Make an empty store at a place that has none.

    Raises:
        StoreError: the place cannot be written, or holds other things.
    """
    try:
        if not filesystem.exists(f"{root}/{MARK}"):
            make(url, filesystem, root)
    except StoreError:
        raise
    except Exception as error:  # object storage raises classes of its own
        raise StoreError(
            f"store {url}: cannot be made ({type(error).__name__}); "
            "expected a folder or bucket that this user may write"
        ) from error


def make(url: str, filesystem: Any, root: str) -> None:
    """Make an empty store; the mark is written last, so that the next run completes a killed one.

    Two processes that do so at once end with one mark.

    Raises:
        StoreError: the place holds other things.
    """
    if filesystem.exists(root) and filesystem.ls(root, detail=False):
        names = [Path(name).name for name in filesystem.ls(root, detail=False)]
        # a run that was killed here, or makes the store at this moment, leaves these
        if not all(name in ("tables", MARK) or name.startswith(f".{MARK}.") for name in names):
            raise StoreError(
                f"store {url}: the place holds other files; expected an empty or new folder"
            )
    filesystem.makedirs(root, exist_ok=True)
    for table in schemas.TABLES.values():
        make_table(table_url(url, filesystem, root, table.name), table)
    mark = json.dumps({"version": schemas.VERSION, "store_id": secrets.token_hex(8)})
    draft = f"{root}/.{MARK}.{secrets.token_hex(4)}"
    if isinstance(filesystem, LocalFileSystem):
        Path(draft).write_text(mark, encoding="ascii")
        try:
            # a link fails where the mark exists; a rename would replace the id of the run that came
            # first
            Path(root, MARK).hardlink_to(draft)
        except FileExistsError:
            pass  # another run made the store at the same moment: its mark stands
        finally:
            Path(draft).unlink()
    else:
        # a conditional put: the first of two runs at once wins
        with suppress(FileExistsError):
            filesystem.pipe_file(f"{root}/{MARK}", mark.encode(), mode="create")


def check_version(url: str, version: Any) -> None:
    """Refuse a store whose tables are of another version than this program's.

    Raises:
        StoreError: it is older (an upgrade is named) or newer.
    """
    if version == schemas.VERSION:
        return
    remedy = (
        f"run `fvlm-data upgrade --store {url}`"
        if isinstance(version, int) and version < schemas.VERSION
        else "use the program version that made the store"
    )
    raise StoreError(
        f"store {url}: tables of version {version} found, this program expects "
        f"{schemas.VERSION}; {remedy}"
    )


def make_table(url: str, table: schemas.Table) -> None:
    """Make an empty table at `url`; an existing one is left alone."""
    try:
        DeltaTable.create(
            url,
            schema=table.schema,
            mode="ignore",
            name=table.name,
            description=table.description,
            partition_by=list(table.partition_by) or None,
            configuration=properties(table),
        )
    except DeltaError:
        if not DeltaTable.is_deltatable(url):  # else another run made it at the same moment
            raise


def properties(table: schemas.Table) -> dict[str, str]:
    """Delta Lake's properties of a table.

    Each commit lists the whole log, so it is kept short: old entries go once a checkpoint holds
    what they say. A writer needs those since it last looked, to tell what it conflicts with; one
    that is slower than a minute is told that they are gone and starts again.
    """
    return {
        "delta.dataSkippingStatsColumns": _columns_with_statistics(table),
        "delta.checkpointInterval": "32",
        "delta.logRetentionDuration": "interval 1 minutes",
    }


def _columns_with_statistics(table: schemas.Table) -> str:
    """Columns whose minimum and maximum the log, which is never erased, may hold.

    Ids and codes only: statistics of free text would preserve sentences of superseded reports.
    """
    kept = {*table.primary_key, table.replaced_by} - {"detail", *table.partition_by}
    return ",".join(name for name in table.columns if name in kept)


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Turn a filesystem library's own errors (botocore's, aiohttp's) into OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
