"""Style sheets and scripts that pages share: files of this package, copied beside the pages."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from fvlm_data.qc.judged import names_data
from fvlm_data.qc.kept import write_if_changed
from fvlm_data.qc.templating import data_json, filled

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

FOLDER = "qc/assets"

COMPARE_PAGE = "qc/compare.html"
"""The page that shows two studies; it is the same in every store."""

SHARED = ("page.css", "palette.css")
INDEX_STYLES = (*SHARED, "index.css")
STUDY_STYLES = (*SHARED, "study.css", "review.css")
COMPARE_STYLES = (*SHARED, "compare.css")
COMPARE_SCRIPTS = ("dom.js", "compare.js")

NAMES = "names.js"
"""What a correction may name: made of the vocabulary, once for all pages."""

INDEX_SCRIPTS = (
    "dom.js",
    "columns.js",
    "crossfilter.js",
    "grid.js",
    "facets.js",
    "matrix.js",
    "splits.js",
    "browse.js",
    "index.js",
)
STUDY_SCRIPTS = (
    "dom.js",
    "volume.js",
    "planes.js",
    "contours.js",
    "pane.js",
    "viewer.js",
    "linking.js",
    "decisions.js",
    "review.js",
    NAMES,
    "judging.js",
    "study.js",
)
"""In the order in which they are loaded: modules cannot be, since a page opened from disk may not
import."""


SERVED_SCRIPTS = ("send.js", "slices.js")
"""Of the page of a study where a server makes it, behind the others."""


def names_script(vocabulary: Vocabulary) -> bytes:
    """The script of those names."""
    return f'"use strict";\nwindow.fvlm.names = {data_json(names_data(vocabulary))};\n'.encode()


def write_assets(store: Store, vocabulary: Vocabulary) -> None:
    """Copy those files, and the page that needs no data, where the store lacks them.

    Raises:
        StoreError: a file cannot be written.
    """
    folder = resources.files("fvlm_data.qc").joinpath("assets")
    styles = {*INDEX_STYLES, *STUDY_STYLES, *COMPARE_STYLES}
    for name in sorted(styles.union(INDEX_SCRIPTS, STUDY_SCRIPTS, COMPARE_SCRIPTS) - {NAMES}):
        write_if_changed(store, f"{FOLDER}/{name}", folder.joinpath(name).read_bytes())
    write_if_changed(store, f"{FOLDER}/{NAMES}", names_script(vocabulary))
    page = filled("compare.html", styles=COMPARE_STYLES, scripts=COMPARE_SCRIPTS)
    write_if_changed(store, COMPARE_PAGE, page.encode())
