"""Pages of studies: which there are, and bringing them up to date a few at a time."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError
from fvlm_data.qc.colours import colour_places
from fvlm_data.qc.heads import withheld
from fvlm_data.qc.kept import write_if_changed
from fvlm_data.qc.scenes import scene_of
from fvlm_data.qc.study_page import Place, Script, study_page
from fvlm_data.qc.study_rows import read_studies
from fvlm_data.qc.study_volume import FOLDER as VOLUMES
from fvlm_data.qc.study_volume import script, script_path
from fvlm_data.segment.nifti import NiftiError
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.qc.config import QcConfig
    from fvlm_data.qc.study_rows import StudyRows
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

FOLDER = "qc/studies"

BATCH = 50
"""Studies whose rows are in memory at once; of volumes it is one."""

UNREADABLE = "The volume or its label map cannot be read; restore the file."

MADE = re.compile(rf"{FOLDER}/[^/.][^/]*\.html|{VOLUMES}/[0-9a-f]{{64}}\.js")
"""Files of ours; any other name is a draft of a concurrent run."""


@dataclass(frozen=True, slots=True)
class Studies:
    """Studies that have a page; `whole` says that all of their volumes could be read."""

    paged: list[str]
    whole: bool


def page_path(study_id: str) -> str:
    """Where the page of a study lies in the store."""
    return f"{FOLDER}/{study_id}.html"


def write_studies(
    store: Store,
    vocabulary: Vocabulary,
    config: QcConfig,
    progress: Callable[[int, int], None],
) -> Studies:
    """Bring the pages of studies up to date.

    Volumes are stored under the hash of what they show, so that they and their masks are read only
    for new ones. Pages and volumes that are no longer wanted are removed.

    Raises:
        StoreError: a table cannot be read or a page not written.
    """
    paged = _chosen(store, config)
    there = {*store.files(FOLDER), *store.files(VOLUMES)}
    colours = colour_places(vocabulary)
    wanted: set[str] = set()
    whole = True
    place = {study: number for number, study in enumerate(paged)}
    for some in _batches(paged):
        for study in read_studies(store, some):
            scripts = _scripts(store, study, vocabulary, config, there)
            here = place[study.study_id]
            progress(here, len(paged))
            around = Place(
                place.keys(),
                paged[here - 1] if here else None,
                paged[here + 1] if here + 1 < len(paged) else None,
            )
            page = study_page(study, scripts, around, vocabulary, colours)
            path = page_path(study.study_id)
            write_if_changed(store, path, page.encode())
            whole = whole and all(one.why != UNREADABLE for one in scripts.values())
            wanted |= {path, *(f"{VOLUMES}/{one.name}.js" for one in scripts.values() if one.name)}
    progress(len(paged), len(paged))
    for path in sorted(there - wanted):
        if MADE.fullmatch(path):
            with suppress(FileNotFoundError):
                store.remove(path)
    return Studies(paged, whole)


def foresee_studies(store: Store, config: QcConfig) -> int:
    """How many studies have, or would get, a page of their own."""
    return len(_chosen(store, config))


def _chosen(store: Store, config: QcConfig) -> list[str]:
    """The first studies by id: chosen the same way every time."""
    query = "SELECT DISTINCT study_id FROM volumes ORDER BY study_id"
    if config.studies != "all":
        query += f" LIMIT {config.studies:d}"
    return [study for (study,) in Relations(store).rows(query)]


def _batches(studies: list[str]) -> list[list[str]]:
    return [studies[start : start + BATCH] for start in range(0, len(studies), BATCH)]


def _scripts(
    store: Store, study: StudyRows, vocabulary: Vocabulary, config: QcConfig, there: set[str]
) -> dict[str, Script]:
    """The script of each volume, made where it is not there."""
    made = {}
    for volume in study.volumes:
        scene = scene_of(volume, study.masks[volume["volume_id"]])
        why = ""
        if config.faces == "remove":
            why = withheld(scene, volume["body_region_header"], vocabulary)
        path = script_path(scene, vocabulary, config)
        if not why and path not in there:
            try:
                content = script(store, scene, vocabulary, config)
            except (NiftiError, StoreError):
                why = UNREADABLE  # told on the page, and tried again the next time
            else:
                store.write_bytes(path, content)
        name = "" if why else path.rpartition("/")[2].removesuffix(".js")
        made[volume["volume_id"]] = Script(name, why)
    return made
