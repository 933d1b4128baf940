"""Reading single values of a DICOM data set, whatever state it is in."""

from __future__ import annotations

import datetime as dt
import logging
import math
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from fvlm_data.identity.readings import readings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag


_quiet: ContextVar[bool] = ContextVar("quiet_pydicom", default=False)


def _is_loud(record: logging.LogRecord) -> bool:
    return not _quiet.get()


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom, whose warnings and log lines quote values and file names."""
    from pydicom.config import disable_value_validation

    # filters of a parent logger are not asked for records of its children, so each logger gets one
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "pydicom":
            logging.getLogger(name).addFilter(_is_loud)
    token = _quiet.set(True)
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        _quiet.reset(token)


def values(dataset: Dataset, keyword: str) -> list[Any]:
    """All values of an element as a list; empty where it is absent, blank or of a wrong form.

    Raises:
        Exception: the element is damaged; pydicom raises any type.
    """
    return _values(dataset, _tag(keyword))


def _values(dataset: Dataset, tag: BaseTag) -> list[Any]:
    if tag not in dataset:  # `dataset[tag]` of an absent element takes ten times as long
        return []
    try:
        value = dataset[tag].value
    except (ValueError, TypeError, OverflowError, AttributeError):
        return []
    if value is None:
        return []
    many = isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue"
    return list(value) if many else [value]


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values of an element as texts without outer blanks; blank ones are left out."""
    cleaned = (_clean(value) for value in values(dataset, keyword))
    return tuple(text for text in cleaned if text)


def every_reading(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values of an element as texts, in every character set that its bytes may be in.

    To be asked before any value of the element: bytes that do not fit the declared character set
    are lost in the text that pydicom makes of them.
    """
    return element_readings(dataset, _tag(keyword))


def element_readings(dataset: Dataset, tag: BaseTag) -> tuple[str, ...]:
    """As `every_reading`, of the element at a tag, be it private or of no name."""
    raw = _raw(dataset, tag)
    found = dict.fromkeys(map(_clean, _values(dataset, tag)))
    for value in raw.split(b"\\") if raw and not raw.isascii() else ():
        found.update(dict.fromkeys(map(_clean, readings(value.strip(b"\x00 ")))))
    return tuple(text for text in found if text)


def text(dataset: Dataset, keyword: str) -> str:
    """The first value of an element as text, or an empty text."""
    found = texts(dataset, keyword)
    return found[0] if found else ""


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite numbers, or None."""
    found = values(dataset, keyword)
    if len(found) != count:
        return None
    try:
        parsed = tuple(float(value) for value in found)
    except (ValueError, TypeError, OverflowError):
        return None
    return parsed if all(math.isfinite(value) for value in parsed) else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number, or None."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str, default: int) -> int:
    """One whole number, or `default`."""
    found = number(dataset, keyword)
    return default if found is None else int(found)


def date(dataset: Dataset, keyword: str) -> dt.date | None:
    """The date of a DA or DT element, or None if it is absent or not a date."""
    # dots: the form of ACR-NEMA (DICOM PS3.5 6.2, DA), still found in old files
    digits = text(dataset, keyword).replace(".", "").replace("-", "")[:8]
    if len(digits) != 8 or not digits.isdecimal():
        return None
    try:
        return dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def uid(dataset: Dataset, keyword: str, meta_keyword: str = "") -> str:
    """A UID of the data set, else that of the file meta information, else an empty text."""
    found = text(dataset, keyword)
    if found or not meta_keyword:
        return found
    meta = getattr(dataset, "file_meta", None)
    return text(meta, meta_keyword) if meta is not None else ""


@cache
def _tag(keyword: str) -> BaseTag:
    from pydicom.tag import Tag

    return Tag(keyword)


def _raw(dataset: Dataset, tag: BaseTag) -> bytes:
    """The bytes of an element as they came, none where its value has been asked for before."""
    if tag not in dataset:
        return b""
    value = dataset.get_item(tag).value
    return value if isinstance(value, bytes) else b""


def _clean(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    # values are padded to even length with a blank, UIDs with a NUL (DICOM PS3.5 6.2)
    return " ".join(str(value).replace("\x00", " ").split())
