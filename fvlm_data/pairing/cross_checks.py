"""Cross-checks of text against image: where one of the two must be wrong, or may be.

Limits lie well outside what a measurement or a reader's eye may differ by: adult spleens measure
about 110 to 315 ml, livers 1100 to 2000 ml, and a cardiothoracic ratio of 0.5 is the usual
border; of children no size is judged. A flag says that somebody should look, with the figures; it
is no diagnosis.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fvlm_data.pairing.anatomy_text import READ_SECTIONS
from fvlm_data.pairing.images import SIDES
from fvlm_data.vocabulary.wording import wording
from schemas import CrossCheck

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fvlm_data.pairing.anatomy_text import StudyText
    from fvlm_data.pairing.images import Seen, StudyImages
    from fvlm_data.vocabulary import Vocabulary

OTHER_REGION = "report_of_other_region"
"""The check that condemns a report as a whole."""

REMOVED_ML = {
    "spleen_absent": ("spleen", 50.0),
    "kidney_absent": ("kidney", 60.0),
    "gallbladder_absent": ("gallbladder", 15.0),
}
"""By finding: the organ, and the ml from which on it cannot have been removed."""

ENLARGED_ML = {"splenomegaly": ("spleen", 150.0, 600.0), "hepatomegaly": ("liver", 1200.0, 3000.0)}
"""By finding: the organ, the ml below which it is not enlarged, and above which it must be."""

HEART_RATIO = (0.42, 0.60)
"""Cardiothoracic ratio below which a heart is not enlarged, and above which it must be."""

REGION_OF = {
    **dict.fromkeys(("brain",), "head"),
    **dict.fromkeys(("lung", "heart", "esophagus", "pulmonary_artery"), "chest"),
    **dict.fromkeys(
        ("adrenal_gland", "colon", "duodenum", "gallbladder", "kidney", "liver", "pancreas",
         "portal_vein", "small_intestine", "spleen", "stomach"),
        "abdomen",
    ),
    **dict.fromkeys(("bladder", "prostate", "sacrum", "uterus"), "pelvis"),
}  # fmt: skip
"""Region of the anatomies that lie in one only, as table volume_checks names regions."""

LEAST_SPOKEN = 3
"""Anatomies of other regions that a report must speak of before it is doubted."""


@dataclass(frozen=True, slots=True)
class _Said:
    """Something that sentences of the reports say of an anatomy."""

    text: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Words:
    """Words that leave part of a removed organ in place, and those of a kidney elsewhere."""

    organ_left: re.Pattern[str]
    kidney_elsewhere: re.Pattern[str]


@lru_cache(maxsize=8)
def _words_of(vocabularies: frozenset[Vocabulary]) -> _Words:
    words = [one.pairing for one in vocabularies]
    listed = (
        [phrase for one in words for phrase in one.organ_left],
        [phrase for one in words for phrase in one.kidney_elsewhere],
    )
    return _Words(*(re.compile(rf"\b(?:{wording(phrases)})", re.IGNORECASE) for phrases in listed))


def cross_checks(
    study_id: str, text: StudyText, images: StudyImages, vocabulary: Vocabulary
) -> list[CrossCheck]:
    """All contradictions of one study, sorted; none where text and image agree.

    Read are findings and impression only. What the masks do not show proves nothing unless the
    scan reaches beyond it.
    """
    read = _Reading(text, _words_of(frozenset((vocabulary, *text.vocabularies.values()))))
    found = [
        *_removed(study_id, read, images),
        *_not_seen(study_id, read, images),
        *(_size(study_id, read, images) if images.adult else ()),
        *(_heart(study_id, read, images) if images.adult else ()),
        *_region(study_id, read, images),
    ]
    return sorted(found, key=lambda one: (one.check, one.said))


def unclear_versions_check(
    study_id: str, pairs: Iterable[tuple[str, str]], text: StudyText
) -> list[CrossCheck]:
    """Remarks on pairs of reports that may be parts of one examination, or versions of one report.

    Both are used: the earlier one may say what the later one takes back.
    """
    # reversed, so that the first sentence of each report is the one that stays
    first = {s["report_id"]: _source(s) for s in reversed(text.sentences)}
    return [
        _check(
            study_id, "unclear_versions", None, "weak",
            _Said(" ".join(pair), tuple(first[report] for report in pair if report in first)),
            None, None,
            f"reports {pair[0]} and {pair[1]} are of one request, and nothing tells whether one "
            "is a version of the other: both are used; state their status, procedures or times, or "
            "name the later one as an addendum",
        )
        for pair in pairs
    ]  # fmt: skip


class _Reading:
    """Mentions and assessments of the sections that describe this scan."""

    def __init__(self, text: StudyText, words: _Words) -> None:
        self._organ_left = words.organ_left
        sentences = [s for s in text.sentences if s["section"] in READ_SECTIONS]
        self._sentence = {(s["report_id"], s["sentence"]): s for s in sentences}
        self._mentions = [
            m for m in text.findings if (m["report_id"], m["sentence"]) in self._sentence
        ]
        self.kidney_elsewhere = any(words.kidney_elsewhere.search(s["text"]) for s in sentences)
        self._said: dict[tuple[str, str], list[str]] = {}
        for sentence in sentences:
            pairs = zip(sentence["anatomies"], sentence["assessments"], strict=True)
            for anatomy, assessment in pairs:
                self._said.setdefault((anatomy, assessment), []).append(_source(sentence))

    def told(self, finding: str, *statuses: str) -> list[tuple[str, _Said]]:
        """Side ("" for none) and what is said, of a finding that has one of the statuses."""
        by_side: dict[tuple[str, str], set[str]] = {}
        for mention in self._mentions:
            sentence = self._sentence[mention["report_id"], mention["sentence"]]
            if mention["finding"] == finding and mention["status"] in statuses:
                # a partial nephrectomy leaves a kidney that may be seen
                if finding in REMOVED_ML and self._organ_left.search(sentence["text"]):
                    continue
                name = (mention["laterality"] or "", mention["status"])
                by_side.setdefault(name, set()).add(_source(sentence))
        return [
            (side, _Said(f"{finding}|{status}|{side}", tuple(sorted(sources))))
            for (side, status), sources in sorted(by_side.items())
        ]

    def normal(self, anatomy: str) -> _Said | None:
        """What calls the anatomy normal, where nothing calls it abnormal."""
        if (anatomy, "abnormal") in self._said:
            return None
        sources = self._said.get((anatomy, "normal"))
        return _Said(f"{anatomy} normal", tuple(sorted(sources))) if sources else None

    def spoken(self) -> dict[str, list[str]]:
        """Anatomies that are called normal or abnormal, with their sentences."""
        spoken: dict[str, list[str]] = {}
        for (anatomy, assessment), sources in self._said.items():
            if assessment != "neutral":
                spoken.setdefault(anatomy, []).extend(sources)
        return spoken


def _removed(study_id: str, read: _Reading, images: StudyImages) -> Iterator[CrossCheck]:
    for finding, (organ, limit_ml) in REMOVED_ML.items():
        if organ == "kidney" and read.kidney_elsewhere:
            continue
        for side, said in read.told(finding, "present", "historical"):
            seen = _least_of(images, organ, side)
            if seen is not None and seen.ml >= limit_ml:
                yield _check(
                    study_id, "organ_removed_but_seen", organ, "strong", said, seen, limit_ml,
                    f"the report says {_words(said)}, the mask shows {_named(side, organ)} of "
                    f"{seen.ml:.0f} ml (removed: less than {limit_ml:.0f} ml)",
                )  # fmt: skip


def _least_of(images: StudyImages, organ: str, side: str) -> Seen | None:
    """What contradicts a removal; for one kidney of unstated side, both must be there."""
    if organ != "kidney":
        return images.largest(organ)
    seen = [images.largest(organ, one) for one in ((side,) if side in SIDES else SIDES)]
    there = [one for one in seen if one is not None]
    if side == "bilateral":
        return max(there, key=lambda one: one.ml, default=None)
    return min(there, key=lambda one: one.ml) if len(there) == len(seen) else None


def _not_seen(study_id: str, read: _Reading, images: StudyImages) -> Iterator[CrossCheck]:
    """Spleen and kidneys lie at the liver's level: a scan of all of it shows part of them."""
    if images.whole("liver") is None:
        return
    for organ in ("spleen", "kidney"):
        said = read.normal(organ)
        if said is not None and images.lacks(organ):
            yield _check(
                study_id, "organ_not_seen", organ, "weak", said, None, None,
                f"the report calls the {organ} normal, but no mask shows it, though the whole "
                "liver is there: the segmentation may have missed it, or the report is of "
                "another study",
            )  # fmt: skip


def _size(study_id: str, read: _Reading, images: StudyImages) -> Iterator[CrossCheck]:
    for finding, (organ, small_ml, large_ml) in ENLARGED_ML.items():
        seen = images.whole(organ)
        if seen is None:
            continue
        if seen.ml < small_ml:
            for _, said in read.told(finding, "present"):
                yield _check(
                    study_id, "enlargement_not_seen", organ, "weak", said, seen, small_ml,
                    f"the report says {_words(said)}, the whole {organ} measures {seen.ml:.0f} ml "
                    f"(enlarged: {small_ml:.0f} ml at least)",
                )  # fmt: skip
        if seen.ml > large_ml:
            for said in _denials(read, finding, organ):
                yield _check(
                    study_id, "enlargement_denied", organ, "weak", said, seen, large_ml,
                    f"the report says {_words(said)}, the {organ} measures {seen.ml:.0f} ml "
                    f"(not enlarged: {large_ml:.0f} ml at most)",
                )  # fmt: skip


def _heart(study_id: str, read: _Reading, images: StudyImages) -> Iterator[CrossCheck]:
    if images.heart_ratio is None:
        return
    volume, ratio = images.heart_ratio
    small, large = HEART_RATIO
    said: list[_Said] = []
    if ratio < small:
        check, limit, border = "enlargement_not_seen", small, f"enlarged: {small:.2f} at least"
        said = [one for _, one in read.told("cardiomegaly", "present")]
    elif ratio > large:
        check, limit, border = "enlargement_denied", large, f"not enlarged: {large:.2f} at most"
        said = _denials(read, "cardiomegaly", "heart")
    for one in said:
        yield CrossCheck(
            study_id=study_id,
            check=check,
            anatomy="heart",
            strength="weak",
            said=one.text,
            sources=one.sources,
            volume_id=volume,
            quantity="ratio",
            measured=round(ratio, 3),
            limit=limit,
            detail=f"the report says {_words(one)}, the cardiothoracic ratio is {ratio:.2f} "
            f"({border})",
        )


def _denials(read: _Reading, finding: str, organ: str) -> list[_Said]:
    denied = [said for _, said in read.told(finding, "absent")]
    normal = read.normal(organ)
    return denied or ([normal] if normal else [])


def _region(study_id: str, read: _Reading, images: StudyImages) -> Iterator[CrossCheck]:
    """Anatomies that a report speaks of, in regions of which the scan shows nothing.

    What the masks could not show (of a backend that knows lungs only) is left out.
    """
    spoken = {
        name: told
        for name, told in read.spoken().items()
        if name in REGION_OF and name in images.searched
    }
    strange = {
        name: told
        for name, told in spoken.items()
        if REGION_OF[name] not in images.regions and images.lacks(name)
    }
    if not images.regions or len(strange) < LEAST_SPOKEN:
        return
    regions = "+".join(sorted({REGION_OF[name] for name in strange}))
    shown = "+".join(sorted(images.regions))
    said = _Said(regions, tuple(sorted({source for told in strange.values() for source in told})))
    if len(strange) == len(spoken):
        yield _check(
            study_id, OTHER_REGION, None, "strong", said, None, None,
            f"the report speaks of {', '.join(sorted(strange))} ({regions}), of which the scan "
            f"({shown}) shows nothing: probably the report of another study",
        )  # fmt: skip
    else:
        yield _check(
            study_id, "region_not_shown", None, "weak", said, None, None,
            f"the report speaks of {', '.join(sorted(strange))} ({regions}) too, of which the "
            f"scan ({shown}) shows nothing: a series may be missing",
        )  # fmt: skip


def _check(
    study_id: str,
    check: str,
    anatomy: str | None,
    strength: str,
    said: _Said,
    seen: Seen | None,
    limit_ml: float | None,
    detail: str,
) -> CrossCheck:
    return CrossCheck(
        study_id=study_id,
        check=check,
        anatomy=anatomy,
        strength=strength,
        said=said.text,
        sources=said.sources,
        volume_id=seen.volume_id if seen else None,
        quantity="volume_ml" if seen else None,
        measured=round(seen.ml, 1) if seen else None,
        limit=limit_ml,
        detail=detail,
    )


def _words(said: _Said) -> str:
    """What is said as words: kidney_absent (present, right)."""
    finding, *rest = said.text.split("|")
    told = ", ".join(filter(None, rest))
    return f"{finding} ({told})" if told else finding


def _named(side: str, organ: str) -> str:
    return f"a {side} {organ}" if side in SIDES else f"a {organ}"


def _source(sentence: Mapping[str, Any]) -> str:
    return f"{sentence['report_id']}:{sentence['start']}:{sentence['end']}"
