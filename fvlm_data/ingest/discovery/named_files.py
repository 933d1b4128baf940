"""Image files that a run is told of, as by a bucket's events, in place of looking for them.

A file of lines: an address (`s3://bucket/key`, a path), or a JSON object with an event message:
that of Amazon S3 and MinIO ("Event message structure": `Records`), of EventBridge (`detail`), or
one that wraps them (SNS's `Message`, SQS's `Messages` and `Body`). Messages of objects that went
are no news.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from fvlm_data.errors import InputError
from fvlm_data.ingest.discovery.walk import base_folder
from fvlm_data.ingest.sources.objects import SCHEME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fvlm_data.ingest.config import SourceConfig

STDIN = "-"
REMOVED = ("ObjectRemoved", "s3:ObjectRemoved", "Object Deleted", "LifecycleExpiration")


def read_addresses(file: str) -> tuple[str, ...]:
    """The addresses that a file names (`-`: standard input), each once, in order.

    Raises:
        InputError: it cannot be read, or holds a line of no known form.
    """
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--keys {file}: cannot be read ({type(error).__name__}), expected lines of text"
        ) from None
    return tuple(dict.fromkeys(_addresses(text, file)))


def _addresses(text: str, file: str) -> Iterator[str]:
    whole = _json(text)
    if whole is not None:  # one message on several lines
        yield from _told(whole, file, 1)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("{", "[")):
            yield from _told(_json(line), file, number)
        elif line.strip():
            yield line.strip()


def _told(message: Any, file: str, number: int) -> Iterator[str]:
    found = _of_message(message)
    if found is None:
        raise InputError(
            f"--keys {file}: line {number} is no address and no event message that is known, "
            "expected s3://bucket/key, a path, or JSON as a bucket's events have it"
        )
    yield from found


def _of_message(message: Any) -> list[str] | None:
    """Addresses of what came; None: no event of a bucket."""
    if isinstance(message, str):
        return _of_message(_json(message))
    if isinstance(message, list):
        parts = [_of_message(one) for one in message]
        return None if None in parts else [one for part in parts for one in part or ()]
    if not isinstance(message, dict):
        return None
    for wrapper in ("Records", "Messages", "Body", "Message"):
        if wrapper in message:
            return _of_message(message[wrapper])
    if message.get("Event") == "s3:TestEvent":  # sent once, when notifications are set up
        return []
    # keys are written as within a URL in one of the two forms alone
    told: Any
    told, quoted = (message["s3"], True) if "s3" in message else (message.get("detail"), False)
    try:
        bucket, key = str(told["bucket"]["name"]), str(told["object"]["key"])
    except (KeyError, TypeError):
        return None
    what = str(message.get("eventName") or message.get("detail-type") or "")
    if what.startswith(REMOVED):
        return []
    return [f"{SCHEME}{bucket}/{unquote_plus(key) if quoted else key}"]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def names_below(source: SourceConfig, addresses: Iterable[str]) -> list[str]:
    """The relative names of those addresses that lie in a source."""
    if source.url:
        base = source.base_url
        return [one.removeprefix(base) for one in addresses if one.startswith(base) and one != base]
    folder = os.path.abspath(base_folder(source))  # noqa: PTH100 - a link is not followed
    found = []
    for address in addresses:
        path = os.path.abspath(Path(address).expanduser())  # noqa: PTH100
        if "://" not in address and path.startswith(f"{folder}{os.sep}"):
            found.append(Path(path).relative_to(folder).as_posix())
    return found
