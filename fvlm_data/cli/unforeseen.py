"""An error that nobody foresaw, told by type and place: its text may quote a header or a report."""

from __future__ import annotations

import sys
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.cli.console import fault

if TYPE_CHECKING:
    from collections.abc import Iterator

ADVICE = (
    "its text is not shown, as it may hold a patient's data; what is settled is kept: run again, "
    "and report it with `fvlm-data report-problem` if it stays"
)


@contextmanager
def text_withheld() -> Iterator[None]:
    """Tell any error by type and places, of its causes too, and end with status 2.

    In threads as well, whose errors Python prints with their text.
    """
    before = threading.excepthook
    threading.excepthook = _of_a_thread
    try:
        yield
    except Exception as error:
        _print(error)
        sys.exit(2)
    finally:
        threading.excepthook = before


def places(error: BaseException) -> Iterator[str]:
    """Type of an error and of what caused it, each with the calls that led there."""
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield type(one).__name__
        for frame in traceback.extract_tb(one.__traceback__):
            yield f"  at {Path(frame.filename).name}:{frame.lineno} {frame.name}"
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _of_a_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None:
        _print(told.exc_value)


def _print(error: BaseException) -> None:
    lines = "\n".join(places(error))
    fault.print(f"error: unforeseen; {ADVICE}\n{lines}", markup=False)
