"""What the reports of a study say of one anatomy: its text, state, signature and labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from fvlm_data.pairing.lobes import lobes_of
from fvlm_data.pairing.signature import finding_set, signature
from schemas import AnatomyText

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.vocabulary import Vocabulary

READ_SECTIONS = ("impression", "findings", "other")
"""Sections that describe this scan, in the order of the text (paper: impression first)."""


@dataclass(frozen=True, slots=True)
class StudyText:
    """All sentences and findings of a study's reports, reports in order.

    Both hold rows (as dictionaries) of the tables `sentences` and `findings`. `vocabularies` are
    those of reports in a further language, by report id; another report is of the store's own.
    """

    sentences: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]]
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)


def anatomy_text(
    study_id: str,
    anatomy: str,
    study: StudyText,
    config: PairConfig,
    vocabulary: Vocabulary,
) -> AnatomyText:
    """Text, state and signature of one anatomy of a study.

    The text is the impression's sentences about the anatomy, then those of the findings (paper,
    section 3; facts of the public recipe); the template stands alone if nothing is said, and
    first if the anatomy is normal. An anatomy is abnormal if any sentence calls it so,
    normal only if one says so, else not mentioned; the setting `normal: reference` takes it for
    normal whenever the impression does not speak of it. The template is that of the language in
    which the study's first report is.

    Findings of other sections (what a clinician asks for, an earlier scan) do not count. Labels,
    the truth of an evaluation, are those of the whole report under either rule, with all that
    they imply.
    """
    about = [
        sentence
        for section in READ_SECTIONS
        for sentence in study.sentences
        if sentence["section"] == section and anatomy in sentence["anatomies"]
    ]
    read = {
        (s["report_id"], s["sentence"]) for s in study.sentences if s["section"] in READ_SECTIONS
    }
    mentions = [
        finding
        for finding in study.findings
        if finding["anatomy"] == anatomy and (finding["report_id"], finding["sentence"]) in read
    ]
    lobes = partial(_lobes, study, vocabulary) if config.signature.lobe else None
    findings = finding_set(mentions, severity=config.signature.severity, lobes=lobes)
    stated = _state_of_all(anatomy, about, findings, config)
    state = stated if config.normal == "stated" else _state_of_impression(about)
    sentences = [sentence["text"] for sentence in about]
    first = study.sentences[0]["report_id"] if study.sentences else ""
    words = study.vocabularies.get(first, vocabulary)
    template = config.template or words.pairing.normal
    # an overlay's own anatomy may have no name in a further language
    named = {one.id: one.name for one in (*vocabulary.anatomies, *words.anatomies)}
    normal = template.format(anatomy=named[anatomy])
    if state != "abnormal":
        sentences = [normal, *sentences]
    abnormal = state == "abnormal"
    return AnatomyText(
        study_id=study_id,
        anatomy=anatomy,
        text=" ".join(sentences),
        state=state,
        signature=signature(findings) if abnormal else 0,
        findings=findings if abnormal else (),
        labels=_labels(findings, vocabulary.implied) if stated == "abnormal" else (),
        sources=tuple(f"{s['report_id']}:{s['start']}:{s['end']}" for s in about),
    )


def _lobes(study: StudyText, own: Vocabulary, mention: Mapping[str, Any]) -> list[str]:
    """Lobes that a mention names in the language of its report."""
    vocabulary = study.vocabularies.get(mention["report_id"], own)
    return lobes_of(vocabulary).of(mention["location"] or "")


def _state_of_impression(about: Sequence[Mapping[str, Any]]) -> str:
    """The public code's rule: normal unless the impression speaks of it."""
    in_impression = any(sentence["section"] == "impression" for sentence in about)
    return "abnormal" if in_impression else "normal_stated"


def _state_of_all(
    anatomy: str,
    about: Sequence[Mapping[str, Any]],
    findings: Sequence[str],
    config: PairConfig,
) -> str:
    """What the whole report says."""
    said = {
        assessment
        for sentence in about
        for named, assessment in zip(sentence["anatomies"], sentence["assessments"], strict=True)
        if named == anatomy
    }
    # every finding is only suspected or past: `pair.uncertain` says what that counts as
    hedged_only = bool(findings) and not any("|present|" in finding for finding in findings)
    if "abnormal" in said:
        return config.uncertain if hedged_only else "abnormal"
    return "normal_stated" if "normal" in said else "not_mentioned"


def _labels(findings: Sequence[str], implied: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Ids of the findings asserted as present or uncertain, and all that they imply."""
    asserted = {f.split("|")[0] for f in findings if f.split("|")[1] != "historical"}
    return tuple(sorted(asserted.union(*(implied.get(label, ()) for label in asserted))))
