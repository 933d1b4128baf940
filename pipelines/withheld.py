"""What Prefect is told of an error: our own sentences, of others type and place."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.states import Failed

from fvlm_data.errors import FvlmError

if TYPE_CHECKING:
    from collections.abc import Iterator


class UnforeseenError(FvlmError):
    """An error of another kind, reported by type and place only."""


class ConnectionLostError(UnforeseenError):
    """A network fault between a worker and the store: the batch is worth another try."""


def failed(error: FvlmError) -> Any:
    """The state of a run that ended with one of our sentences.

    Prefect raises the error again and logs it: without our frames, the sentence is at hand.
    """
    return Failed(data=error.with_traceback(None), message=str(error))


@contextmanager
def texts_withheld() -> Iterator[None]:
    """Let our own errors pass, without their causes; report only type and place of any other.

    Prefect sends the text of an exception and of what caused it to its server, and the text of a
    library's exception (pydicom's, say) may quote a header.

    Raises:
        UnforeseenError: any error that is not ours; ConnectionLostError for one of the network.
    """
    try:
        yield
    except FvlmError as error:
        error.__cause__ = error.__context__ = None
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        lost = isinstance(error, ConnectionError | TimeoutError)
        kind = ConnectionLostError if lost else UnforeseenError
        raise kind(
            f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}; expected "
            "none; what is settled stays settled: run again, and report it if it stays"
        ) from None
