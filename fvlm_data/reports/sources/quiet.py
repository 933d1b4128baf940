"""Silence around libraries that read report text: what they print may hold a patient's data."""

from __future__ import annotations

import io
import logging
import threading
import warnings
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = TypeVar("Row")

_AT_ONCE = 100
"""Rows that one silence covers: to begin and end it takes as long as to read some rows."""

_lock = threading.Lock()
_held = 0
_undo = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Let nothing reach stdout, stderr, a log or a warning while the block runs.

    These belong to the whole process: threads that overlap share one silence, which the last
    one ends, so that none puts back what another had switched off.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def each_quiet(rows: Iterator[Row]) -> Iterator[Row]:
    """The same rows, made in silence, some at a time; whoever takes them may print between."""
    while True:
        with quiet():
            made, error = _some(rows)
        yield from made
        if error is not None:
            raise error
        if len(made) < _AT_ONCE:
            return


def _some(rows: Iterator[Row]) -> tuple[list[Row], Exception | None]:
    """The next rows, and the error behind them: what was read before it is not lost."""
    made: list[Row] = []
    try:
        for row in islice(rows, _AT_ONCE):
            made.append(row)
    except Exception as error:  # raised again behind the rows
        return made, error
    return made, None


def _enter() -> None:
    global _held
    with _lock:
        _held += 1
        if _held > 1:
            return
        _undo.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        _undo.enter_context(redirect_stdout(io.StringIO()))
        _undo.enter_context(redirect_stderr(io.StringIO()))
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        _undo.callback(logging.disable, before)


def _leave() -> None:
    global _held
    with _lock:
        _held -= 1
        if _held == 0:
            _undo.close()
