"""The quality page: one HTML file that says what the store holds and what went wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fvlm_data.qc.figures import read_figures
from fvlm_data.qc.page import render
from fvlm_data.qc.thumbnails import kept_thumbnails
from fvlm_data.store.place import QC_PAGE

if TYPE_CHECKING:
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

__all__ = ["write_qc"]

PICTURES = 8

RUN = re.compile(rb"(?<=last changed by run )<span>[^<]*</span>")
"""The only part of the page that differs between runs which changed nothing."""


def write_qc(context: Context, vocabulary: Vocabulary) -> str:
    """Bring the page up to date with the tables; returns its path in the store.

    A page with the same content stays as it is, with the run that it names. It names the store
    and volumes by their ids only and loads nothing from elsewhere.

    Raises:
        StoreError: a table cannot be read or the page not written.
    """
    store = context.store
    figures = read_figures(store, vocabulary)
    thumbnails = kept_thumbnails(store, PICTURES, vocabulary)
    page = render(store.store_id, context.run_id, figures, thumbnails).encode()
    if not (store.exists(QC_PAGE) and _tell_the_same(store.read_bytes(QC_PAGE), page)):
        store.write_bytes(QC_PAGE, page)
    return QC_PAGE


def _tell_the_same(one: bytes, other: bytes) -> bool:
    return RUN.sub(b"", one, count=1) == RUN.sub(b"", other, count=1)
