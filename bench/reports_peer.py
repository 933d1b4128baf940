"""Default medspaCy beside the report parser: ConText, sectionizer and splitter as they come.

It has no words of radiology: what it looks for are the plain target rules below, a few usual
names of each of CT-RATE's findings. Its sections have other names than ours, so that only the
spans of its headers are compared.
"""

from __future__ import annotations

import warnings
from typing import Any

from fvlm_data.reports.language.medspacy_matching import silence_loguru

RULES = {
    "medical_material": "pacemaker, catheter, stent, drain, tube, prosthesis, cerclage, implant, "
    "clip, sternotomy wires, port",
    "arterial_wall_calcification": "atherosclerosis, atheroma, atheroma plaque, aortic sclerosis, "
    "calcific plaques, arterial calcification, aortic calcification, calcified aorta, plaque",
    "cardiomegaly": "cardiomegaly, enlarged heart, heart is enlarged, increase in heart size",
    "pericardial_effusion": "pericardial effusion, pericardial fluid",
    "coronary_artery_wall_calcification": "coronary calcification, coronary artery calcification, "
    "coronary artery calcifications, coronary sclerosis, calcified coronary arteries",
    "hiatal_hernia": "hiatal hernia, hiatus hernia",
    "lymphadenopathy": "lymphadenopathy, adenopathy, enlarged lymph nodes, "
    "pathologically enlarged lymph nodes, enlarged lymph node",
    "emphysema": "emphysema, emphysematous",
    "atelectasis": "atelectasis, atelectases, atelectatic, collapse",
    "lung_nodule": "nodule, nodules, pulmonary nodule, nodular lesion",
    "lung_opacity": "opacity, opacities, ground glass, ground-glass, infiltrate, infiltrates, "
    "infiltration",
    "pulmonary_fibrotic_sequela": "fibrosis, fibrotic, sequela, sequelae, scarring, scar",
    "pleural_effusion": "pleural effusion, pleural effusions, effusion, effusions, pleural fluid",
    "mosaic_attenuation_pattern": "mosaic attenuation, mosaic pattern, mosaic perfusion",
    "peribronchial_thickening": "peribronchial thickening, bronchial wall thickening",
    "consolidation": "consolidation, consolidations, consolidated",
    "bronchiectasis": "bronchiectasis, bronchiectases, bronchiectatic",
    "interlobular_septal_thickening": "interlobular septal thickening, septal thickening",
}
_STATUSES = (
    ("is_family", "family"),
    ("is_hypothetical", "hypothetical"),
    ("is_negated", "absent"),
    ("is_historical", "historical"),
    ("is_uncertain", "uncertain"),
)
"""ConText's attributes, in the order in which our parser lets them hold."""


class DefaultMedspacy:
    """MedspaCy as `medspacy.load()` gives it, with its sectionizer and the rules above."""

    def __init__(self) -> None:
        """Load it: a few seconds."""
        warnings.simplefilter("ignore")
        silence_loguru()
        import medspacy
        from medspacy.ner import TargetRule

        silence_loguru()
        self._nlp: Any = medspacy.load()
        self._nlp.add_pipe("medspacy_sectionizer")
        self._nlp.get_pipe("medspacy_target_matcher").add(
            [
                TargetRule(word, label)
                for label, words in RULES.items()
                for word in words.split(", ")
            ]
        )

    def assertion(self, text: str, target: str) -> str:
        """Status that its ConText gives the first occurrence of the target."""
        doc = self._nlp.make_doc(text)
        place = text.lower().find(target.lower())
        span = doc.char_span(place, place + len(target), "TARGET", alignment_mode="expand")
        for name, component in self._nlp.pipeline:
            if name == "medspacy_target_matcher":
                doc.ents = (span,)
            else:
                doc = component(doc)
        return _status(doc.ents[0])

    def labels(self, text: str) -> set[str]:
        """Findings of CT-RATE that it finds present or uncertain."""
        entities = self._nlp(text).ents
        return {one.label_ for one in entities if _status(one) in ("present", "uncertain")}

    def headers(self, text: str) -> set[tuple[int, int]]:
        """Characters of the headers that its sectionizer finds."""
        doc = self._nlp(text)
        titles = [doc[slice(*section.title_span)] for section in doc._.sections if section.category]
        return {(title.start_char, title.end_char) for title in titles}


def _status(entity: Any) -> str:
    return next((status for name, status in _STATUSES if getattr(entity._, name)), "present")
