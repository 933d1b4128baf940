"""How a report tells the findings of the chest.

Slots: {size} with its unit, {side} (left, right, bilateral), {organ} (the left lung, both lungs),
{grade} (mild, moderate, severe), {Bare} ({organ} without its article). A noun takes no article; a
sentence stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Wording:
    """Nouns for headlines, hedges and negations, and sentences that describe the finding."""

    nouns: tuple[str, ...]
    told: tuple[str, ...]


CHEST: Mapping[str, Wording] = MappingProxyType(
    {
        "aortic_aneurysm": Wording(
            (
                "aneurysmal dilatation of the aorta",
                "aortic aneurysm",
                "fusiform aneurysm of the aorta",
            ),
            (
                "The aorta shows fusiform aneurysmal dilatation, measuring {size} at its widest.",
                "Aneurysmal dilatation of the aorta is observed, with a diameter of {size}.",
                "There is an aortic aneurysm measuring up to {size} in maximal diameter.",
                "The aortic diameter is {size} and is evaluated as aneurysmatic.",
                "Aorta: aneurysm with a maximum transverse dimension of {size}.",
            ),
        ),
        "arterial_wall_calcification": Wording(
            (
                "calcific atheromatous plaques in the aorta",
                "aortic wall calcification",
                "atherosclerotic calcification of the aorta",
            ),
            (
                "Calcific atheroma plaques are observed in the aortic wall.",
                "There are {grade} atherosclerotic calcifications of the aorta.",
                "The walls of the aorta show scattered calcified plaque.",
                "Calcified atheromatous plaques are noted along the aorta.",
                "Calcific plaques are observed in the wall of the thoracic and abdominal aorta.",
            ),
        ),
        "aortic_dissection": Wording(
            ("aortic dissection", "dissection flap in the descending aorta"),
            (
                "An intimal flap is seen within the descending aorta, consistent with dissection.",
                "The descending aorta shows a dissection with a true and a false lumen.",
                "Dissection of the descending aorta is observed, with displaced intimal calcium.",
                "There is a double-lumen appearance of the aorta due to dissection.",
            ),
        ),
        "hiatal_hernia": Wording(
            ("hiatal hernia", "sliding type hiatal hernia", "hiatus hernia"),
            (
                "Sliding type hiatal hernia is observed at the lower end of the esophagus.",
                "There is a {grade} hiatal hernia measuring {size}.",
                "A hiatal hernia of about {size} is present.",
                "Part of the gastric fundus herniates through the esophageal hiatus.",
                "Hiatus hernia is noted.",
            ),
        ),
        "esophageal_wall_thickening": Wording(
            ("esophageal wall thickening", "thickening of the esophageal wall"),
            (
                "The wall of the esophagus is thickened, measuring up to {size}.",
                "Diffuse wall thickening is observed in the mid esophagus.",
                "There is circumferential esophageal wall thickening of {size}.",
                "An increase in wall thickness is observed in the esophagus.",
            ),
        ),
        "cardiomegaly": Wording(
            ("cardiomegaly", "cardiac enlargement", "increased heart size"),
            (
                "The heart is enlarged.",
                "Heart size has increased.",
                "There is {grade} cardiomegaly.",
                "The cardiothoracic ratio is increased in favor of the heart.",
                "The cardiac silhouette is {grade}ly enlarged.",
            ),
        ),
        "pericardial_effusion": Wording(
            ("pericardial effusion", "pericardial fluid"),
            (
                "Pericardial effusion reaching {size} in thickness is observed.",
                "There is a {grade} pericardial effusion.",
                "Fluid is present in the pericardial space, measuring {size} in depth.",
                "An effusion measuring {size} is seen in the pericardial recess.",
            ),
        ),
        "coronary_artery_wall_calcification": Wording(
            (
                "coronary artery calcification",
                "calcific plaques in the coronary arteries",
                "coronary atherosclerosis",
            ),
            (
                "Calcific plaques are observed in the coronary artery walls.",
                "There are {grade} coronary artery calcifications.",
                "Coronary calcification is present, predominantly in the LAD.",
                "Atheromatous calcifications are seen along the coronary arteries.",
            ),
        ),
        "lung_nodule": Wording(
            ("pulmonary nodule", "nodule in {organ}", "lung nodule"),
            (
                "A nodule measuring {size} is observed in {organ}.",
                "There is a solid pulmonary nodule of {size} in {organ}.",
                "{Bare}: noncalcified nodule, {size}.",
                "Nodular density with a diameter of {size} is seen in {organ}.",
                "Millimetric nodules, the largest {size}, are observed in {organ}.",
            ),
        ),
        "consolidation": Wording(
            (
                "consolidation in {organ}",
                "{side} pulmonary consolidation",
                "airspace consolidation",
            ),
            (
                "An area of consolidation with air bronchograms is observed in {organ}.",
                "There is airspace consolidation in {organ}, spanning {size}.",
                "Consolidative changes are present in {organ}.",
                "{Bare}: dense consolidation with air bronchogram signs.",
            ),
        ),
        "lung_opacity": Wording(
            ("ground glass opacity in {organ}", "{side} ground-glass opacities"),
            (
                "Patchy ground glass opacities are observed in {organ}.",
                "There are areas of ground-glass opacity in {organ}.",
                "Ground glass density increases are seen in {organ}.",
                "Hazy opacities of ground-glass attenuation involve {organ}.",
            ),
        ),
        "emphysema": Wording(
            ("emphysema", "emphysematous changes", "centrilobular emphysema"),
            (
                "Emphysematous changes are observed in both lungs.",
                "There is {grade} centrilobular emphysema, upper lobe predominant.",
                "Both lungs show {grade} emphysema.",
                "Paraseptal and centrilobular emphysema is noted bilaterally.",
            ),
        ),
        "atelectasis": Wording(
            (
                "atelectasis in {organ}",
                "{side} basal atelectasis",
                "{side} subsegmental atelectasis",
            ),
            (
                "Linear atelectasis is observed in the lower lobe of {organ}.",
                "There is subsegmental atelectasis at the base of {organ}.",
                "Band atelectasis is seen in the basal segments of {organ}.",
                "Atelectatic changes are present in {organ}.",
            ),
        ),
        "pleural_effusion": Wording(
            ("{side} pleural effusion", "pleural fluid on the {side} side"),
            (
                "There is a {grade} {side} pleural effusion.",
                "Pleural effusion reaching {size} in thickness is observed in {hemithorax}.",
                "{Side} pleural effusion is seen, with a depth of {size}.",
                "Free fluid is observed in the pleural space of {hemithorax}.",
            ),
        ),
        "pneumothorax": Wording(
            ("{side} pneumothorax", "pneumothorax on the {side}"),
            (
                "There is a {grade} {side} pneumothorax.",
                "Pneumothorax measuring {size} in thickness is observed on the {side}.",
                "Free air is seen in the {side} pleural space, consistent with pneumothorax.",
                "A {side} pneumothorax of {size} is present.",
            ),
        ),
    }
)
