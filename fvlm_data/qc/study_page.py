"""The page of one study: planes, report, checks, samples, partners and lineage."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.qc.assets import SERVED_SCRIPTS, STUDY_SCRIPTS, STUDY_STYLES
from fvlm_data.qc.judged import judged, judged_texts
from fvlm_data.qc.lineage import lineage, times
from fvlm_data.qc.report_html import report_html
from fvlm_data.qc.templating import filled, words
from schemas.anatomy_texts import STATES
from schemas.findings import STATUSES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fvlm_data.qc.judged import Judged
    from fvlm_data.qc.partners import Partners
    from fvlm_data.qc.study_rows import Row, StudyRows
    from fvlm_data.qc.templating import Served
    from fvlm_data.vocabulary import Vocabulary


CUT = re.compile(r"_cut(_top|_bottom)?$")
"""Flags of anatomies that reach a face of the image: most volumes have many."""


@dataclass(frozen=True, slots=True)
class Place:
    """What surrounds a page: the studies with pages, and those before and after it."""

    paged: Collection[str]
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Script:
    """The name of a volume's script; empty where it is not shown, and then why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Organ:
    """One anatomy of a study: what the report says of it and what the masks show.

    `ml` has the size in each volume that shows it; `cut` says that it touches a volume's face.
    """

    anatomy: str
    state: str | None
    text: str
    findings: tuple[str, ...]
    ml: Mapping[str, float]
    cut: bool
    partners: Partners | None


def study_page(
    study: StudyRows,
    scripts: Mapping[str, Script],
    place: Place,
    vocabulary: Vocabulary,
    colours: Mapping[str, int],
    served: Served | None = None,
) -> str:
    """The page as HTML text.

    `scripts` are those of the volumes by id; `colours` the anatomies' places in the palette;
    `served` is of a page that a server makes.
    """
    organs = _organs(study, vocabulary)
    # neither said nor shown: only counted
    shown = [one for one in organs if one.ml or one.state in ("abnormal", "normal_stated")]
    return filled(
        "study.html",
        served=served,
        study=study,
        facts=_facts(study),
        volumes=[_volume(volume, study) for volume in study.volumes],
        organs=shown,
        silent=len(organs) - len(shown),
        reports=[_report(report, study, colours) for report in study.reports],
        statuses=STATUSES,
        steps=lineage(study),
        judged=_by_kind(judged(study, vocabulary)),
        texts=[asdict(one) for one in judged_texts(study)],
        set_aside=sorted(
            study.set_aside, key=lambda row: (row["stage"], row["reason"], row["item"])
        ),
        place=place,
        colours=colours,
        times=times,
        said=_said,
        styles=STUDY_STYLES,
        scripts=(*STUDY_SCRIPTS, *SERVED_SCRIPTS) if served else STUDY_SCRIPTS,
        viewer={
            "volumes": [
                {"id": volume_id, "script": scripts[volume_id].name, "why": scripts[volume_id].why}
                for volume_id in (volume["volume_id"] for volume in study.volumes)
            ],
            "colours": dict(colours),
            "within": dict(vocabulary.within),
            "first": [one.anatomy for one in organs if one.state == "abnormal" and one.ml][:1],
        },
    )


def _said(check: Mapping[str, Any]) -> str:
    """What a report says that a check is about: codes as words, ids of reports as they are."""
    if check["check"] == "unclear_versions":
        return str(check["said"])
    return ", ".join(words(one) for one in str(check["said"]).split("|") if one)


def _by_kind(things: Sequence[Judged]) -> list[tuple[str, list[Judged]]]:
    """What is judged below the page, under a head each."""
    heads = {"study": "The study", "mask": "Masks", "pair": "Pairs: the other says the same"}
    kinds = ((head, [one for one in things if one.kind == kind]) for kind, head in heads.items())
    return [(head, some) for head, some in kinds if some]


def _facts(study: StudyRows) -> list[tuple[str, str]]:
    """What is known of the whole study, as name and value."""
    first = study.volumes[0]
    age = first["age_years"]
    told = (
        ("split", study.split["split"] if study.split else None),
        ("age", None if age is None else f"{age:g}" + ("+" if age >= 90 else "")),
        ("sex", first["sex"]),
        ("manufacturer", first["manufacturer"]),
        ("date, shifted", first["acquired_on"]),
        ("volumes", str(len(study.volumes))),
        ("reports", str(len(study.reports))),
        ("samples", str(len(study.samples))),
    )
    return [(name, value) for name, value in told if value]


def _volume(volume: Row, study: StudyRows) -> dict[str, Any]:
    check = study.checks.get(volume["volume_id"])
    flags = check["flags"] if check else ()
    told = (
        ("size", f"{times(volume['shape'])} voxels of {times(volume['spacing_mm'])} mm"),
        ("axes", volume["orientation"]),
        ("HU", f"{volume['hu_min']} to {volume['hu_max']}, {words(volume['rescale_decision'])}"),
        ("kernel", volume["kernel"]),
        ("description", volume["series_description"]),
        ("region", _sure(check, "body_region", "region_confidence")),
        ("phase", _sure(check, "phase", "phase_confidence")),
        ("contrast", check and check["contrast"]),
        ("header says", _header(volume)),
        ("tilt corrected", f"{volume['tilt_degrees']:g}°" if volume["tilt_degrees"] else None),
    )
    return {
        "id": volume["volume_id"],
        "facts": [(name, words(value)) for name, value in told if value],
        "flags": [flag for flag in flags if not CUT.search(flag)],
        "cut": [flag for flag in flags if CUT.search(flag)],
        "adjustments": list(volume["adjustments"]),
        "checked": check is not None,
    }


def _sure(check: Row | None, name: str, confidence: str) -> str | None:
    if check is None or not check[name]:
        return None
    sure = check[confidence]
    return check[name] if sure is None else f"{check[name]} ({100 * sure:.0f} % sure)"


def _header(volume: Row) -> str | None:
    contrast = volume["contrast_header"]
    told = (volume["body_region_header"], f"contrast {contrast}" if contrast else None)
    return ", ".join(one for one in told if one) or None


def _report(report: Row, study: StudyRows, colours: Mapping[str, int]) -> dict[str, Any]:
    report_id = report["report_id"]
    return {
        "id": report_id,
        "matched_by": report["matched_by"],
        "addendum": report["addendum"],
        "html": report_html(
            report["text"],
            report["sections"],
            study.sentences[report_id],
            study.findings[report_id],
            colours,
        ),
    }


def _organs(study: StudyRows, vocabulary: Vocabulary) -> list[Organ]:
    """All anatomies that are said or shown: abnormal first, then normal, then silent ones."""
    sizes, cut = _sizes(study, vocabulary)
    texts = {row["anatomy"]: row for row in study.texts}
    found = []
    for anatomy in sorted({*sizes, *texts}):
        row = texts.get(anatomy)
        found.append(
            Organ(
                anatomy=anatomy,
                state=row["state"] if row else None,
                text=row["text"] if row and row["state"] != "not_mentioned" else "",
                findings=tuple(_member(one) for one in row["findings"]) if row else (),
                ml=sizes.get(anatomy, {}),
                cut=anatomy in cut,
                partners=study.partners.get(anatomy),
            )
        )
    return sorted(found, key=lambda one: STATES.index(one.state) if one.state else len(STATES))


def _member(finding: str) -> str:
    """A member of a signature's set in words."""
    name, *rest = finding.split("|")
    return ", ".join([words(name), *(one for one in rest if one)])


def _sizes(
    study: StudyRows, vocabulary: Vocabulary
) -> tuple[dict[str, dict[str, float]], set[str]]:
    """Millilitres of each anatomy by volume, and the anatomies that touch a face of one.

    Two tasks may show one anatomy: the greater counts.
    """
    sizes: dict[str, dict[str, float]] = {}
    cut = set()
    for volume_id, masks in study.masks.items():
        of_task: dict[tuple[str, str], float] = {}
        for row in sorted(masks, key=lambda row: (row["task"], row["class_name"])):
            for anatomy, names in vocabulary.classes_of(row["class_system"]).items():
                if row["class_name"] in names:
                    key = (row["task"], anatomy)
                    of_task[key] = of_task.get(key, 0.0) + row["volume_ml"]
                    if row["touches_border"]:
                        cut.add(anatomy)
        for (_, anatomy), ml in of_task.items():
            own = sizes.setdefault(anatomy, {})
            own[volume_id] = max(ml, own.get(volume_id, 0.0))
    return sizes, cut
