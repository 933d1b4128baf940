"""The look at a bucket: whether it can be listed, and how many of its first objects are images."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.sources.bucket import find
from fvlm_data.run.survey.found import FoundSource, Survey

OBJECTS_AT_MOST = 5000

KEYS_GROW = (
    "where keys of new objects come behind all others, as those that begin with a date, "
    "`keys_grow: true` of the source and `ingest.full_listing_days` spare the listing of everything"
)


def survey_bucket(url: str) -> Survey:
    """Look at the names of the first objects below a URL `s3://bucket/prefix`; none is opened.

    Raises:
        InputError: there is no such bucket, it may not be listed, or holds nothing.
        MachineError: the server does not answer.
    """
    source = SourceConfig(kind="bucket", url=url)
    names = [one.relative for one in islice(find(source), OBJECTS_AT_MOST)]
    return Survey(
        folder=url,
        files=len(names),
        folders=len({name.rpartition("/")[0] for name in names}),
        complete=len(names) < OBJECTS_AT_MOST,
        sources=(FoundSource("bucket", Path(), len(names), url=url),),
        notes=(KEYS_GROW, "reports and masks are not looked for in a bucket: name local ones"),
    )
