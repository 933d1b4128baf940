"""The log as one JSON object a line: what happened, to which run, stage, batch and items.

Items are told by their ids. The text of another library's record, or of an exception, may quote a
header: its type and place are told.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("fvlm_data", "fvlm_train", "pipelines")
FIELDS = "fvlm_fields"
LEVEL = "FVLM_LOG"
"""Environment variable with the level of the log."""

events = logging.getLogger("fvlm_data.events")


def event(message: str, **fields: Any) -> None:
    """Log that something happened; `fields` are plain data without identity."""
    events.info(message, extra={FIELDS: fields})


class JsonLines(logging.Formatter):
    """Records as JSON objects: time (UTC), level, logger, message, then the fields of an event."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name.split(".")[0] in OURS:
            told["message"] = record.getMessage()
        else:
            told["message"] = f"withheld, of {Path(record.pathname).name}:{record.lineno}"
        if record.exc_info and record.exc_info[0] is not None:
            told["error"] = _place(record.exc_info[0].__name__, record.exc_info[2])
        return json.dumps({**told, **getattr(record, FIELDS, {})}, default=str)


def level_of_log(default: str) -> str:
    """The level that FVLM_LOG names.

    Raises:
        InputError: it is no level.
    """
    level = os.environ.get(LEVEL) or default
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise InputError(f"{LEVEL}: {level} found, expected one of {', '.join(known)}")
    return level.upper()


@contextmanager
def logged(form: str, of: str = "") -> Iterator[None]:
    """While the block runs, have what is logged below the logger `of` written in `form`.

    That is `text`, which changes nothing, or `json`, with events, to standard error.

    Raises:
        InputError: FVLM_LOG names no level.
    """
    if form != "json":
        yield
        return
    logger = logging.getLogger(of)
    before = logger.handlers[:], logger.level, logger.propagate
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logger.handlers = [handler]
    logger.setLevel(level_of_log("INFO"))
    logger.propagate = False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])


def form_of_log() -> str:
    """In which form this process writes its log: what it starts writes the same."""
    handlers = logging.getLogger().handlers
    return "json" if any(isinstance(one.formatter, JsonLines) for one in handlers) else "text"


def start_log(level: int | str, form: str) -> None:
    """Write this process's log to standard error from now on."""
    logging.basicConfig(level=level, format="%(message)s")
    if form == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


def _place(kind: str, trace: Any) -> str:
    frames = traceback.extract_tb(trace)
    return f"{kind} at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else kind
