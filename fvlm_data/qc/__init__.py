"""The quality page: one HTML file that says what the store holds and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.qc.figures import read_figures
from fvlm_data.qc.page import render
from fvlm_data.qc.thumbnails import read_thumbnails
from fvlm_data.store.place import QC_PAGE

if TYPE_CHECKING:
    from fvlm_data.store.stage import Context
    from fvlm_data.vocabulary import Vocabulary

__all__ = ["write_qc"]

PICTURES = 8


def write_qc(context: Context, vocabulary: Vocabulary) -> str:
    """Write the page from the tables as they stand; returns its path in the store.

    It names the store and volumes by their ids only and fetches nothing from elsewhere.

    Raises:
        StoreError: a table cannot be read or the page not written.
    """
    store = context.store
    masked = store.read("masks", ["volume_id"])["volume_id"].unique().to_pylist()
    page = render(
        store.store_id,
        context.run_id,
        read_figures(store, vocabulary),
        read_thumbnails(store, sorted(masked)[:PICTURES], vocabulary),
    )
    store.write_bytes(QC_PAGE, page.encode())
    return QC_PAGE
