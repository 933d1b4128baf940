"""A DICOMweb server (DICOM PS3.18): QIDO-RS finds instances, WADO-RS metadata give headers.

An instance does not change under its SOP instance UID, so a known one is not requested again.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError
from fvlm_data.ingest.dicom.told_names import told_names
from fvlm_data.ingest.discovery.file_kind import Aside, Probed, probe_dataset
from fvlm_data.ingest.discovery.found_file import PROBLEMS, FoundFile
from fvlm_data.ingest.discovery.opener import FileLocation
from fvlm_data.ingest.sources.dicom import read
from fvlm_data.ingest.sources.kind import Kind
from fvlm_data.ingest.sources.wado import client, instance_url, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.discovery.listed import Listed

PAGE = 200
STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
STUDY_INSTANCES, SERIES_INSTANCES = "00201208", "00201209"
"""Counts that a server gives with each study and series (DICOM PS3.18 10.6.3.3)."""


def find(source: SourceConfig, listed: Listed | None = None) -> Iterator[FoundFile]:
    """All instances of the server that match the source's query, series by series.

    With `listed`, those of a study that has as many as before, by the server's count, are passed
    over. All studies are asked for: no time that a server gives tells of what came late.

    Raises:
        InputError: the server does not answer, refuses, or holds nothing that matches.
    """
    empty = True
    for study, in_study in _paged(source, "studies", (), dict(source.query)):
        if listed is not None and in_study and listed.done(study, (in_study,)):
            empty = False
            continue
        came = 0
        for series, in_series in _paged(source, "series", (study,), {}):
            for instance, _ in _paged(source, "instances", (study, series), {}):
                empty = False
                came += 1
                relative = f"studies/{study}/series/{series}/instances/{instance}"
                url = instance_url(source.url, study, series, instance)
                yield FoundFile(
                    relative,
                    FileLocation(url=url),
                    series_instances=in_series,
                    study_instances=in_study,
                )
        if listed is not None and in_study == came:
            listed.keep(study, (in_study,), closed=True)
    if empty:
        raise InputError(
            f"source {source.label}: {source.url} has no instances that match the query; check "
            "`query`, and that the server's user may see them"
        )


def probe(found: FoundFile) -> Probed:
    """What the metadata of one instance say."""
    from pydicom.dataset import Dataset

    try:
        metadata = reached(found.place.url)
    except OSError:
        return Probed("", Aside("fault", "unreadable_file", PROBLEMS["unreadable_file"].detail))
    text = json.dumps(metadata, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return probe_dataset(fingerprint, lambda: Dataset.from_json(metadata))


def _paged(
    source: SourceConfig, level: str, above: tuple[str, ...], query: dict[str, str]
) -> Iterator[tuple[str, int]]:
    """UIDs of studies, of a study's series or of a series' instances, each once.

    With each the number of its instances as the server counts them, 0 where it does not.

    Pages are requested until one brings nothing new: a server may give fewer rows than asked for.
    """
    uid = {"studies": STUDY, "series": SERIES, "instances": INSTANCE}[level]
    counted = {"studies": STUDY_INSTANCES, "series": SERIES_INSTANCES}.get(level, "")
    seen: dict[str, int] = {}
    start = 0
    while rows := _searched(source, level, above, query, start):
        page = {
            str(row[uid]["Value"][0]): _count(row, counted)
            for row in rows
            if row.get(uid, {}).get("Value")
        }
        fresh = {one: count for one, count in page.items() if one not in seen}
        if not fresh:
            return
        seen.update(fresh)
        yield from fresh.items()
        # counted by what came, not by PAGE: the server may cap the limit
        start += len(rows)


def _count(row: dict[str, Any], tag: str) -> int:
    values = row.get(tag, {}).get("Value") or [0]
    try:
        return int(values[0])
    except (TypeError, ValueError):
        return 0


def _searched(
    source: SourceConfig, level: str, above: tuple[str, ...], query: dict[str, str], start: int
) -> list[dict[str, Any]]:
    search: Any = getattr(client(source.url), f"search_for_{level}")
    try:
        found: list[dict[str, Any]] = search(*above, limit=PAGE, offset=start, search_filters=query)
    except OSError as error:
        raise InputError(
            f"source {source.label}: {source.url} does not answer a search for {level} "
            f"({type(error).__name__}); check the address, the server and the credentials"
        ) from error
    return found


DICOMWEB = Kind(find=find, probe=probe, read=read, told_names=told_names, place="url", changed=find)
