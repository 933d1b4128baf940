"""The pages that `fvlm-data qc` writes, made of the tables as they are now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fvlm_data.qc.assets import (
    COMPARE_SCRIPTS,
    COMPARE_STYLES,
    INDEX_SCRIPTS,
    INDEX_STYLES,
    SERVED_SCRIPTS,
    STUDY_SCRIPTS,
    STUDY_STYLES,
)
from fvlm_data.qc.catalogue import LISTED_STUDIES, read_catalogue
from fvlm_data.qc.colours import colour_places
from fvlm_data.qc.figures import read_figures
from fvlm_data.qc.heads import withheld
from fvlm_data.qc.page import render
from fvlm_data.qc.png import PngError, description_of
from fvlm_data.qc.scenes import read_scenes, scene_of
from fvlm_data.qc.study_page import Place, Script, study_page
from fvlm_data.qc.study_volume import script, script_path
from fvlm_data.qc.templating import filled
from fvlm_data.qc.thumbnails import Thumbnail, drawn_picture, kept_picture, picture_path
from fvlm_data.qc.writing import PICTURES
from fvlm_data.run.records import last_record
from fvlm_data.serve.live import Kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.opened.embeddings import Embeddings
    from fvlm_data.qc.scenes import Scene
    from fvlm_data.qc.study_rows import StudyRows
    from fvlm_data.qc.templating import Served
    from fvlm_data.serve.live import Live

STUDIES_KEPT = 50
SCRIPTS_KEPT = 12
"""Shrunk volumes, some MB each."""

QC_ASSETS = frozenset(
    {*INDEX_STYLES, *STUDY_STYLES, *COMPARE_STYLES}.union(
        INDEX_SCRIPTS, STUDY_SCRIPTS, COMPARE_SCRIPTS
    )
)
OWN_ASSETS = frozenset((*SERVED_SCRIPTS, "search.css", "queue.css", "queue.js"))

NEIGHBOURS = """
SELECT (SELECT max(study_id) FROM volumes WHERE study_id < $study),
    (SELECT min(study_id) FROM volumes WHERE study_id > $study)
"""
WITH_VOLUMES = """
SELECT DISTINCT study_id FROM volumes WHERE study_id IN (SELECT unnest($studies))
"""
LISTED = f"SELECT DISTINCT study_id FROM volumes ORDER BY study_id LIMIT {LISTED_STUDIES}"


@dataclass(frozen=True, slots=True)
class StudyPage:
    """The page of a study, and the scenes of its volumes by the names of their scripts."""

    html: str
    scenes: Mapping[str, Scene]


class Pages:
    """Pages of a store, made when they are asked for and kept while nothing changes."""

    def __init__(self, live: Live, served: Served, embeddings: Embeddings | None) -> None:
        """Nothing is made yet."""
        self._live = live
        self._embeddings = embeddings
        self._served = served
        self._index: Kept[str] = Kept(1)
        self._studies: Kept[StudyPage | None] = Kept(STUDIES_KEPT)
        self._scripts: Kept[bytes] = Kept(SCRIPTS_KEPT)
        self._colours = colour_places(live.vocabulary)

    def index(self) -> str:
        """The first page.

        Raises:
            StoreError: a table cannot be read.
        """
        return self._index.get(self._live.version(), self._made_index)

    def study(self, study_id: str) -> str | None:
        """The page of a study; None where no volume is of it.

        Raises:
            StoreError: a table cannot be read.
        """
        key = (self._live.version(), study_id)
        page = self._studies.get(key, lambda: self._made_study(study_id))
        return None if page is None else page.html

    def compare(self) -> str:
        """The page that shows two studies."""
        return filled(
            "compare.html", served=self._served, styles=COMPARE_STYLES, scripts=COMPARE_SCRIPTS
        )

    def script(self, name: str) -> bytes | None:
        """The script of a volume that a page names; None where none that is kept does.

        Raises:
            NiftiError: a file is damaged.
            StoreError: a file is missing.
        """
        pages = (page for page in self._studies.values() if page is not None)
        scene = next((page.scenes[name] for page in pages if name in page.scenes), None)
        if scene is None:
            return None
        live = self._live
        return self._scripts.get(
            name, lambda: script(live.store, scene, live.vocabulary, live.config)
        )

    def _made_index(self) -> str:
        live = self._live
        with live.lock:
            paged = [study for (study,) in live.rows(LISTED)]
            return render(
                live.store.store_id,
                str(last_record(live.store).get("run_id", "unknown")),
                read_figures(live.store, live.vocabulary),
                read_catalogue(live.store, live.vocabulary, paged),
                [self._picture(scene) for scene in read_scenes(live.store, PICTURES)],
                self._served,
            )

    def _picture(self, scene: Scene) -> Thumbnail:
        """A picture as the store has it, else drawn, and not written: a reader changes nothing."""
        store, vocabulary = self._live.store, self._live.vocabulary
        path = picture_path(scene, vocabulary)
        kept = kept_picture(store, path) if store.exists(path) else None
        png = kept or drawn_picture(store, scene, vocabulary)
        try:
            shown = tuple(description_of(png).split()) if png else ()
        except PngError:
            shown = ()
        return Thumbnail(scene.volume_id, png, shown)

    def _made_study(self, study_id: str) -> StudyPage | None:
        live = self._live
        study = live.study(study_id)
        if study is None:
            return None
        scripts, scenes = self._named_scripts(study)
        served = self._served
        if self._embeddings is not None:
            served = replace(served, neighbours=tuple(self._embeddings.anatomies(study_id)))
        place = self._place(study)
        html = study_page(study, scripts, place, live.vocabulary, self._colours, served)
        return StudyPage(html, scenes)

    def _named_scripts(self, study: StudyRows) -> tuple[dict[str, Script], dict[str, Scene]]:
        """The script of each volume, and by its name of what it is made once it is asked for."""
        live, made, scenes = self._live, {}, {}
        for volume in study.volumes:
            scene = scene_of(volume, study.masks[volume["volume_id"]])
            why = ""
            if live.config.faces == "remove":
                why = withheld(scene, volume["body_region_header"], live.vocabulary)
            name = ""
            if not why:
                path = script_path(scene, live.vocabulary, live.config)
                name = path.rpartition("/")[2].removesuffix(".js")
                scenes[name] = scene
            made[volume["volume_id"]] = Script(name, why)
        return made, scenes

    def _place(self, study: StudyRows) -> Place:
        """Partners have pages where they have volumes."""
        named = sorted(
            {one for some in study.partners.values() for one in (*some.studies, *some.apart)}
        )
        paged = self._live.rows(WITH_VOLUMES, {"studies": named}) if named else []
        ((before, after),) = self._live.rows(NEIGHBOURS, {"study": study.study_id})
        return Place({one for (one,) in paged}, before, after)
