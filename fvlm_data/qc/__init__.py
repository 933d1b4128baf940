"""The pages: static HTML that shows what the store holds and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.qc.config import QcConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

__all__ = ["QcConfig", "write_qc"]


def write_qc(
    context: Context,
    vocabulary: Vocabulary,
    config: QcConfig | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> str:
    """Bring the pages up to date with the tables; returns the first one's path in the store.

    `config` says how many studies have pages of their own; None takes the defaults. A page with
    the same content stays as it is, with the run that it names. `progress` is called with "pages",
    the studies looked at and their number. Pages name the store, studies and
    volumes by their ids only and load nothing from elsewhere.

    Raises:
        StoreError: a table cannot be read or a page not written.
    """
    # the configuration is imported by every command, what makes pages by few
    from fvlm_data.qc.writing import write_pages

    return write_pages(
        context, vocabulary, config or QcConfig(), progress or (lambda stage, done, total: None)
    )
