"""What Prefect is told of an error: our own sentences, of others type and place."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.errors import FvlmError

if TYPE_CHECKING:
    from collections.abc import Iterator


class UnforeseenError(FvlmError):
    """An error of another kind, reported by type and place only."""


class ConnectionLostError(UnforeseenError):
    """A network fault between a worker and the store: the batch is worth another try."""


@contextmanager
def texts_withheld() -> Iterator[None]:
    """Let our own errors pass; report only type and place of any other.

    Prefect sends the text of an exception to its server, and the text of a library's exception
    (pydicom's, say) may quote a header.

    Raises:
        UnforeseenError: any error that is not ours; ConnectionLostError for one of the network.
    """
    try:
        yield
    except FvlmError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        lost = isinstance(error, ConnectionError | TimeoutError)
        kind = ConnectionLostError if lost else UnforeseenError
        raise kind(
            f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}; expected "
            "none; what is settled stays settled: run again, and report it if it stays"
        ) from None
