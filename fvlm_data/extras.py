"""What an install may leave out, and the sentence that names an extra which is missing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from fvlm_data.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("schemas", "fvlm_data", "fvlm_train", "pipelines")


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Imports within the block are those of `extra`, which `what` (a command, say) needs.

    Raises:
        MissingExtraError: a package that is not ours is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in OURS:  # a fault of the program, which no install heals
            raise
        raise MissingExtraError(
            f"{what}: the package {package} is not installed; it comes with the extra "
            f"[{extra}]: pip install 'fvlm[{extra}]'"
        ) from error
