"""Writing the pages into the store: only what changed."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.qc.assets import write_assets
from fvlm_data.qc.catalogue import read_catalogue
from fvlm_data.qc.figures import read_figures
from fvlm_data.qc.made_of import files_key, inputs_key, is_made_of, signed, unsigned
from fvlm_data.qc.page import render
from fvlm_data.qc.studies import foresee_studies, write_studies
from fvlm_data.qc.thumbnails import kept_thumbnails
from fvlm_data.store.place import QC_PAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.qc.config import QcConfig
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

PICTURES = 8

RUN = re.compile(rb"(?<=last changed by run )<span>[^<]*</span>")
"""The only part of the page that differs between runs which changed nothing."""


def write_pages(
    context: Context,
    vocabulary: Vocabulary,
    config: QcConfig,
    progress: Callable[[str, int, int], None],
) -> str:
    """Write pages of studies, then the first page, which links to them; returns its path.

    Raises:
        StoreError: a table cannot be read or a page not written.
    """
    store = context.store
    old = store.read_bytes(QC_PAGE) if store.exists(QC_PAGE) else b""
    inputs = inputs_key(store, vocabulary, config)
    if is_made_of(old, files_key(store, inputs)):
        return QC_PAGE
    write_assets(store, vocabulary)
    studies = write_studies(store, vocabulary, config, partial(progress, "pages"))
    pictures = kept_thumbnails(store, PICTURES, vocabulary)
    page = render(
        store.store_id,
        context.run_id,
        read_figures(store, vocabulary),
        read_catalogue(store, vocabulary, studies.paged),
        pictures,
    ).encode()
    if RUN.sub(b"", unsigned(old), count=1) == RUN.sub(b"", page, count=1):
        page = unsigned(old)
    if studies.whole and all(picture.png for picture in pictures):
        page = signed(page, files_key(store, inputs))
    if page != old:
        store.write_bytes(QC_PAGE, page)
    return QC_PAGE


def foresee_pages(context: Context, vocabulary: Vocabulary, config: QcConfig) -> int:
    """How many pages `write_pages` would look at; 0 where nothing has changed. Nothing is written.

    Raises:
        StoreError: a table or page cannot be read.
    """
    store = context.store
    old = store.read_bytes(QC_PAGE) if store.exists(QC_PAGE) else b""
    if is_made_of(old, files_key(store, inputs_key(store, vocabulary, config))):
        return 0
    return 1 + foresee_studies(store, config)
