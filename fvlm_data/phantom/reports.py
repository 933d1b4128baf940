"""Reports of synthetic scans: two styles, and where and how each finding is worded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.phantom import wording
from fvlm_data.phantom.catalogue import ANATOMIES, KIND, findings_of
from fvlm_data.phantom.draws import chance, pick, shuffled, stream, uniform, weighted
from fvlm_data.phantom.patient import Present
from fvlm_data.phantom.phrases_normal import OTHER_ABDOMEN, OTHER_CHEST

if TYPE_CHECKING:
    import numpy as np

    from fvlm_data.phantom.patient import Patient, Study

_CHEST_ORGANS = ("heart", "aorta", "esophagus", "lung")

_ABDOMEN_ORDER = (
    "lung", "heart", "esophagus", "liver", "gallbladder", "portal_vein", "spleen", "pancreas",
    "adrenal_gland", "kidney", "stomach", "small_intestine", "colon", "aorta", "bladder", "sacrum",
)  # fmt: skip

_SAID_NORMAL = {
    "lung": 0.8, "heart": 0.8, "aorta": 0.65, "esophagus": 0.7, "liver": 0.85, "gallbladder": 0.7,
    "spleen": 0.75, "pancreas": 0.7, "kidney": 0.75, "adrenal_gland": 0.6, "bladder": 0.6,
    "colon": 0.5, "small_intestine": 0.45, "stomach": 0.4, "portal_vein": 0.3, "sacrum": 0.2,
}  # fmt: skip
"""Chance that a report calls an anatomy normal if it says nothing else about it."""

_TITLES = {
    "lung": ("LUNGS", "LUNG BASES", "Chest"),
    "heart": ("HEART", "Heart and pericardium"),
    "aorta": ("AORTA", "VASCULATURE", "Vessels"),
    "esophagus": ("ESOPHAGUS",),
    "liver": ("LIVER", "Liver", "HEPATIC"),
    "gallbladder": ("GALLBLADDER", "Gallbladder", "GALLBLADDER AND BILE DUCTS"),
    "portal_vein": ("PORTAL VEIN", "Portal venous system"),
    "spleen": ("SPLEEN", "Spleen"),
    "pancreas": ("PANCREAS", "Pancreas"),
    "adrenal_gland": ("ADRENAL GLANDS", "ADRENALS", "Adrenals"),
    "kidney": ("KIDNEYS", "Kidneys", "KIDNEYS AND URETERS"),
    "stomach": ("STOMACH", "Stomach"),
    "small_intestine": ("SMALL BOWEL", "Small bowel"),
    "colon": ("COLON", "Large bowel"),
    "bladder": ("URINARY BLADDER", "BLADDER", "Bladder"),
    "sacrum": ("SACRUM", "Sacrum"),
}

_PLAIN = {
    "liver": "liver", "spleen": "spleen", "pancreas": "pancreas", "gallbladder": "gallbladder",
    "adrenal_gland": "adrenal glands", "kidney": "kidneys", "stomach": "stomach",
    "small_intestine": "small bowel", "colon": "colon", "bladder": "bladder",
}  # fmt: skip

_REASONS = (
    "Cough, fever.", "Shortness of breath.", "Abdominal pain.", "Follow-up.", "Weight loss.",
    "Preoperative evaluation.", "Trauma.", "Nausea and vomiting.", "Chest pain.",
    "Known malignancy, restaging.", "Elevated liver enzymes.", "Flank pain.", "Rule out infection.",
)  # fmt: skip

_NOTHING = (
    "No acute abnormality.",
    "Findings within normal limits.",
    "No significant pathology was detected.",
    "Unremarkable examination.",
)

MISS_RATE = 0.04
"""Share of visible findings that their report leaves out (twice that where mild)."""

FALSE_HEDGE_RATE = 0.008
"""Chance, for each healthy imaged anatomy, that the report supposes a finding that is not there."""


@dataclass(slots=True)
class Mention:
    """How a finding is worded: section (findings, impression, both), negated, hedged, sentence."""

    section: str
    negated: bool
    hedged: bool
    sentence: str


@dataclass(slots=True)
class Report:
    """A composed report and what a perfect reader takes from it."""

    clinical: str = ""
    technique: str = ""
    comparison: str = ""
    findings: dict[str, list[str]] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)
    impression: list[str] = field(default_factory=list)
    mentions: dict[str, Mention] = field(default_factory=dict)
    stated_normal: set[str] = field(default_factory=set)
    names_patient: bool = False
    headed: bool = False

    def state(self, anatomy: str) -> str:
        """Return abnormal, normal_stated or not_mentioned.

        A suspected finding makes an anatomy abnormal, as does a removed organ; an anatomy of
        which only findings are denied counts as stated normal.
        """
        told = [mention for name, mention in self.mentions.items() if KIND[name].anatomy == anatomy]
        if any(not mention.negated for mention in told):
            return "abnormal"
        return "normal_stated" if told or anatomy in self.stated_normal else "not_mentioned"


def compose(patient: Patient, study: Study) -> Report:
    """Compose the report of a scan."""
    rng = stream(patient.seed, patient.index, 15, study.order)
    report = Report()
    chest = study.protocol == "chest"
    report.headed = not chest and chance(rng, 0.5)
    report.findings = {name: [] for name in (_CHEST_ORGANS if chest else _ABDOMEN_ORDER)}
    _open(rng, report, patient, study)
    told = _told(rng, study)
    _tell_present(rng, report, told)
    seen = [name for name in ANATOMIES if name in study.imaged or not study.has_images]
    _tell_absent(rng, report, seen, study)
    if not report.headed:
        _group_normals(rng, report)
    pool = OTHER_CHEST if chest else OTHER_ABDOMEN
    report.other = shuffled(rng, pool)[: int(uniform(rng, 1.0, 4.0))]
    if not report.impression:
        report.impression.append(pick(rng, _NOTHING))
    return report


def _open(rng: np.random.Generator, report: Report, patient: Patient, study: Study) -> None:
    family, _, given = patient.name.partition("^")
    title = "Mrs." if patient.sex == "F" else "Mr."
    report.clinical = pick(rng, _REASONS)
    if chance(rng, 0.06):
        report.names_patient = True
        full = pick(rng, (f"{title} {family}", f"{given} {family}"))
        report.clinical = f"{full}, born {patient.birth_date:%d.%m.%Y}. {report.clinical}"
    for name in study.findings:
        if wording.is_history(name) and chance(rng, 0.3):
            organ = name.removesuffix("_absent")
            surgery = {"gallbladder": "cholecystectomy", "spleen": "splenectomy"}
            report.clinical += f" History of {surgery.get(organ, 'nephrectomy')}."
    agent = {"none": "without contrast", "arterial": "with intravenous contrast, arterial phase"}
    phase = agent.get(study.phase, "with intravenous contrast, portal venous phase")
    area = {"chest": "the chest", "abdomen": "the abdomen and pelvis"}
    where = area.get(study.protocol, "the chest, abdomen and pelvis")
    report.technique = pick(
        rng,
        (
            f"Axial CT images of {where} were obtained {phase}.",
            f"Multidetector CT of {where} {phase}. Multiplanar reformats.",
            f"CT examination of {where} was performed {phase}.",
        ),
    )
    report.comparison = "None." if study.order == 0 else pick(rng, ("Prior CT.", "Previous study."))


def _told(rng: np.random.Generator, study: Study) -> list[tuple[Present, str, bool]]:
    """Return the findings that are reported, each with its section and whether it is hedged."""
    told = []
    for present in study.findings.values():
        # all draws before the decision, so that a missed finding does not shift those of the next
        missed = chance(rng, MISS_RATE * (2.0 if present.severity < 0.3 else 0.7))
        section = weighted(rng, (("both", 0.5), ("findings", 0.4), ("impression", 0.1)))
        hedged = chance(rng, 0.1) and not wording.is_history(present.kind.finding)
        if not missed:
            told.append((present, section, hedged))
    return told


def _tell_present(
    rng: np.random.Generator, report: Report, told: list[tuple[Present, str, bool]]
) -> None:
    waiting: Present | None = None
    for present, section, hedged in told:
        name = present.kind.finding
        text = wording.hedge(rng, present) if hedged else wording.sentence(rng, present)
        report.mentions[name] = Mention(section, negated=False, hedged=hedged, sentence=text)
        lines = report.findings.setdefault(present.kind.anatomy, [])
        if section != "impression":
            joins = not hedged and not wording.is_history(name) and chance(rng, 0.4)
            same = waiting is not None and waiting.kind.anatomy == present.kind.anatomy
            if waiting is not None and joins and (same or not report.headed):
                _join(rng, report, waiting, present)
                waiting = None
            else:
                lines.append(text)
                waiting = None if hedged or wording.is_history(name) else present
        if section != "findings":
            line = wording.hedge(rng, present) if hedged else wording.headline(rng, present)
            report.impression.append(line)
            if section == "impression":
                report.mentions[name].sentence = line


def _join(rng: np.random.Generator, report: Report, first: Present, second: Present) -> None:
    """Join an earlier finding and a new one in a single sentence."""
    text = wording.joined(rng, first, second)
    old = report.mentions[first.kind.finding]
    lines = report.findings[first.kind.anatomy]
    lines[lines.index(old.sentence)] = text
    old.sentence = text
    report.mentions[second.kind.finding].sentence = text


def _tell_absent(rng: np.random.Generator, report: Report, seen: list[str], study: Study) -> None:
    for anatomy in seen:
        lines = report.findings.setdefault(anatomy, [])
        absent = [
            kind.finding
            for kind in findings_of(anatomy)
            if kind.finding not in study.findings and wording.deniable(kind.finding)
        ]
        usual = _SAID_NORMAL[anatomy]
        if study.protocol == "chest" and anatomy not in _CHEST_ORGANS:
            usual *= 0.35
        gone = f"{anatomy}_absent" in report.mentions
        if report.state(anatomy) == "abnormal":
            if absent and not gone and chance(rng, 0.2):
                _deny(rng, report, anatomy, pick(rng, absent))
        elif chance(rng, FALSE_HEDGE_RATE) and absent:
            _suppose(rng, report, pick(rng, absent))
        elif chance(rng, usual) and f"{anatomy}_absent" not in study.findings:
            text, denied = wording.normal(rng, anatomy)
            if absent and chance(rng, 0.2):
                _deny(rng, report, anatomy, pick(rng, absent))
            # a sentence that denies a finding which the patient has would be false
            elif not set(denied) & set(study.findings):
                lines.append(text)
                report.stated_normal.add(anatomy)
                for name in denied:
                    report.mentions[name] = Mention("findings", True, False, text)


def _deny(rng: np.random.Generator, report: Report, anatomy: str, finding: str) -> None:
    text = wording.denial(rng, finding)
    report.findings[anatomy].append(text)
    report.mentions[finding] = Mention("findings", negated=True, hedged=False, sentence=text)


def _suppose(rng: np.random.Generator, report: Report, finding: str) -> None:
    kind = KIND[finding]
    size = None if kind.size_mm is None else kind.size_mm[0]
    side = pick(rng, ("left", "right")) if kind.sided else None
    text = wording.hedge(rng, Present(kind=kind, laterality=side, size_mm=size, severity=0.1))
    report.findings[kind.anatomy].append(text)
    report.mentions[finding] = Mention("findings", negated=False, hedged=True, sentence=text)


def _group_normals(rng: np.random.Generator, report: Report) -> None:
    """Say of two to four silent, normal organs in one sentence that they are unremarkable."""
    plain = [
        name
        for name in shuffled(rng, list(_PLAIN))
        if name in report.stated_normal
        and len(report.findings[name]) == 1
        and report.state(name) == "normal_stated"
        and not any(KIND[told].anatomy == name for told in report.mentions)
    ]
    group = plain[: int(uniform(rng, 2.0, 5.0))]
    if len(group) < 2 or chance(rng, 0.45):
        return
    for name in group:
        report.findings[name].clear()
    names = ", ".join(_PLAIN[name] for name in group[:-1])
    ending = pick(rng, ("are unremarkable.", "are normal.", "have a normal appearance."))
    report.findings[group[0]].append(f"The {names} and {_PLAIN[group[-1]]} {ending}")


def chest_row(report: Report, rng: np.random.Generator) -> dict[str, str]:
    """Return the text columns of a CT-RATE style row."""
    lines = [line for name in report.findings for line in report.findings[name]]
    body = [*report.other[:1], *lines, *report.other[1:]]
    impression = report.impression
    style = weighted(rng, (("plain", 0.6), ("dash", 0.25), ("number", 0.15)))
    if style == "dash":
        impression = [f"- {line}" for line in impression]
    elif style == "number":
        impression = [f"{number}. {line}" for number, line in enumerate(impression, start=1)]
    return {
        "ClinicalInformation_EN": report.clinical,
        "Technique_EN": report.technique,
        "Findings_EN": " ".join(body),
        "Impressions_EN": (" " if style == "plain" else "\n").join(impression),
    }


def abdomen_text(report: Report, rng: np.random.Generator) -> str:
    """Return a report as one text with headers, with a sub-header an organ if it is `headed`."""
    clinical = pick(rng, ("CLINICAL INFORMATION", "INDICATION", "Clinical history"))
    summary = pick(rng, ("IMPRESSION", "IMPRESSION", "CONCLUSION", "Impression"))
    findings = []
    for name, lines in report.findings.items():
        text = " ".join(lines)
        if text and report.headed:
            findings.append(f"{pick(rng, _TITLES[name])}: {text}")
        elif text:
            findings.append(text)
    findings.append(("OTHER: " if report.headed else "") + " ".join(report.other))
    body = ("\n" if report.headed else " ").join(findings)
    numbered = [f"{number}. {line}" for number, line in enumerate(report.impression, start=1)]
    impression = "\n".join(numbered if len(numbered) > 1 else report.impression)
    return (
        f"{clinical}: {report.clinical}\nTECHNIQUE: {report.technique}\n"
        f"COMPARISON: {report.comparison}\nFINDINGS:\n{body}\n{summary}:\n{impression}"
    )
