"""The pages of searches, of neighbours and of the map, whole without scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fvlm_data.errors import InputError
from fvlm_data.opened.search.results import search
from fvlm_data.qc.assets import SHARED
from fvlm_data.qc.templating import filled
from fvlm_data.serve.map import principal_map
from schemas.anatomy_texts import STATES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fvlm_data.opened.embeddings import Embeddings, TextSide
    from fvlm_data.opened.search.results import Found
    from fvlm_data.qc.templating import Served
    from fvlm_data.serve.live import Live

PACKAGE = "fvlm_data.serve"
STYLES = (*SHARED, "search.css")
PAGE = 25
"""Studies of a page of results."""

NEAREST = 20

SAID = """
SELECT study_id, anatomy, state, [replace(split_part(one, '|', 1), '_', ' ') FOR one IN findings
    IF split_part(one, '|', 2) <> 'absent']
FROM anatomy_texts WHERE anatomy IN (SELECT unnest($anatomies))
    AND study_id IN (SELECT unnest($studies))
"""
"""State of anatomies, and what is said of them but for what is denied."""

LONGEST = 2000
"""Characters of a text that is looked for."""

MAPPED = 2000
"""Studies of a map."""

LEAST_MAPPED = 3
GREATEST = 1_000_000_000

EXAMPLES = (
    "left pleural effusion > 20 mm, no pneumothorax, age > 60",
    "liver cyst or kidney cyst, not pleural effusion",
    "possible lung nodule, women, age 40-60",
    '"ground glass", region chest, phase unenhanced',
)


def search_page(live: Live, served: Served, text: str, first: int) -> str:
    """The page of a search, from place `first` of what it finds.

    A query that cannot be understood is told on the page.

    Raises:
        StoreError: a table cannot be read.
    """
    found: Found | None = None
    wrong = ""
    if text:
        try:
            found = live.ask(
                lambda tables: search(tables, live.vocabulary, text, limit=PAGE, offset=first)
            )
        except InputError as error:
            wrong = str(error)
    return filled(
        "search.html",
        PACKAGE,
        served=served,
        styles=STYLES,
        scripts=(),
        text=text,
        found=found,
        wrong=wrong,
        last=first + len(found.hits) if found else 0,
        examples=[(one, _asked(one)) for one in EXAMPLES],
        asked=_asked(text),
        before=_asked(text, max(0, first - PAGE)) if found and first else None,
        after=_asked(text, first + PAGE) if found and first + PAGE < found.studies else None,
    )


def neighbours_page(
    live: Live, embeddings: Embeddings, served: Served, study: str, anatomy: str
) -> str:
    """The page of what is nearest to an anatomy of a study, and what is said of it there.

    Raises:
        StoreError: a table cannot be read.
    """
    anatomies = embeddings.anatomies(study)
    found = embeddings.nearest(study, anatomy, NEAREST) if anatomy in anatomies else []
    shown = [study, *(one.study_id for one in found)] if found else []
    return filled(
        "neighbours.html",
        PACKAGE,
        served=served,
        styles=STYLES,
        scripts=(),
        study=study,
        anatomy=anatomy,
        anatomies=anatomies,
        nearest=found,
        said=_said(live, [anatomy], shown),
    )


def nearest_page(
    live: Live, embeddings: Embeddings, side: TextSide, served: Served, text: str, anatomy: str
) -> str:
    """The page of the anatomies whose embeddings are nearest to a text; `anatomy` empty: of all.

    Raises:
        InputError: the text is too long.
        StoreError: a table cannot be read.
    """
    if len(text) > LONGEST:
        raise InputError(f"text: {len(text)} characters; expected at most {LONGEST}")
    counts = embeddings.counts()
    found = embeddings.nearest_to(side.vector(text), anatomy or None, NEAREST) if text else []
    return filled(
        "nearest.html",
        PACKAGE,
        served=served,
        styles=STYLES,
        scripts=(),
        text=text,
        anatomy=anatomy,
        anatomies=list(counts),
        longest=LONGEST,
        nearest=found,
        said=_said(live, {one.anatomy for one in found}, {one.study_id for one in found}),
    )


def map_page(live: Live, embeddings: Embeddings, served: Served, anatomy: str) -> str:
    """The page of all studies as points, of an anatomy.

    Raises:
        StoreError: a table cannot be read.
    """
    counts = embeddings.counts()
    anatomy = anatomy or next(iter(counts), "")
    rows = embeddings.sampled(anatomy, MAPPED) if counts.get(anatomy, 0) >= LEAST_MAPPED else []
    studies = [study for study, _ in rows]
    return filled(
        "map.html",
        PACKAGE,
        served=served,
        styles=STYLES,
        scripts=(),
        anatomy=anatomy,
        counts=counts,
        least=LEAST_MAPPED,
        studies=studies,
        states=STATES,
        said=_said(live, [anatomy], studies),
        map=principal_map([vector for _, vector in rows]) if rows else None,
    )


def _said(
    live: Live, anatomies: Collection[str], studies: Collection[str]
) -> dict[tuple[str, str], tuple[str, Sequence[str]]]:
    """State and findings, by study and anatomy."""
    if not studies:
        return {}
    told = {"anatomies": list(anatomies), "studies": list(studies)}
    return {
        (study, anatomy): (state, names) for study, anatomy, state, names in live.rows(SAID, told)
    }


def number_of(text: str, name: str, greatest: int = GREATEST) -> int:
    """A count from an address.

    Raises:
        InputError: it is none, or too great.
    """
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > greatest:
        raise InputError(f"{name} {text[:20]}: expected a number from 0 to {greatest}")
    return int(text)


def _asked(text: str, first: int = 0) -> str:
    """The part of an address behind its question mark."""
    return urlencode({"q": text, **({"from": str(first)} if first else {})})
