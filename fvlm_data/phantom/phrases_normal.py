"""How a report calls anatomies normal, and what else it says.

After a bar stand the findings that a sentence denies by name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NORMAL_CHEST: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aorta": (
            "Calibration of the aorta is natural.",
            "The aorta is normal in caliber.",
            "No aortic aneurysm is seen.|aortic_aneurysm",
            "The diameter of the thoracic aorta is within normal limits.",
            "The aorta is unremarkable.",
        ),
        "heart": (
            "Heart contour, size is normal.",
            "The heart is normal in size.",
            "Heart size is within normal limits. No pericardial effusion.|pericardial_effusion",
            "Pericardial effusion-thickening was not observed, and the heart is of normal size."
            "|pericardial_effusion",
            "The heart and pericardium are unremarkable.",
        ),
        "esophagus": (
            "No pathological increase in wall thickness is observed in the esophagus."
            "|esophageal_wall_thickening",
            "Thoracic esophagus calibration was normal and no significant wall thickening was "
            "detected.|esophageal_wall_thickening",
            "The esophagus is unremarkable.",
            "Esophagus: normal course and caliber.",
        ),
        "lung": (
            "Aeration of both lung parenchyma is normal.",
            "The lungs are clear.",
            "Both lungs are clear, without nodule or infiltration.|lung_nodule",
            "No mass, nodule or infiltration was detected in both lungs.|lung_nodule",
            "The lung parenchyma is unremarkable.",
        ),
    }
)

OTHER_CHEST: tuple[str, ...] = (
    "Trachea, both main bronchi are open.",
    "Mediastinal structures cannot be evaluated optimally in non-contrast examination.",
    "No enlarged lymph nodes in prevascular, pre-paratracheal, subcarinal or bilateral hilar "
    "regions were observed.",
    "No lytic-destructive lesion was detected in bone structures.",
    "Vertebral corpus heights are preserved.",
    "The thyroid gland is unremarkable.",
    "Degenerative changes are observed in the thoracic spine.",
    "The chest wall is unremarkable.",
    "No axillary lymphadenopathy.",
)

NORMAL_ABDOMEN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "adrenal_gland": (
            "Bilateral adrenal glands were normal and no space-occupying lesion was detected.",
            "The adrenal glands are unremarkable.",
            "Adrenal glands: normal.",
            "No adrenal nodule is seen.|adrenal_nodule",
        ),
        "bladder": (
            "The urinary bladder is unremarkable.",
            "The bladder is normal in contour and wall thickness.",
            "No stone or wall thickening is seen in the bladder."
            "|bladder_stone,bladder_wall_thickening",
        ),
        "colon": (
            "The colon is normal in caliber.",
            "No colonic wall thickening or dilatation.|colonic_wall_thickening,colonic_dilatation",
            "Colon segments are of normal calibration and wall thickness.",
            "The colon is unremarkable.",
        ),
        "gallbladder": (
            "The gallbladder is normal, without calculi.|gallstone",
            "The gallbladder is unremarkable.",
            "No stone was detected in the gallbladder, and its wall is thin.|gallstone",
            "Gallbladder: normal.",
        ),
        "kidney": (
            "Both kidneys are normal in size, without stone or hydronephrosis."
            "|kidney_stone,hydronephrosis",
            "The kidneys are unremarkable.",
            "No hydronephrosis or nephrolithiasis.|hydronephrosis,kidney_stone",
            "Both kidneys have normal location, size and contours.",
        ),
        "liver": (
            "The liver is normal in size, contour and attenuation.",
            "The liver is unremarkable.",
            "No focal lesion was detected in the liver.",
            "Liver size, contour and parenchymal density are normal.",
            "The liver enhances homogeneously, without focal lesion.",
        ),
        "pancreas": (
            "The pancreas is unremarkable.",
            "Pancreas size and contours are normal; the duct is not dilated."
            "|pancreatic_duct_dilatation",
            "No pancreatic mass or ductal dilatation.|pancreatic_duct_dilatation",
        ),
        "portal_vein": (
            "The portal vein is patent and of normal caliber.",
            "Portal vein calibration is normal.",
            "No portal vein thrombosis.|portal_vein_thrombosis",
        ),
        "sacrum": (
            "The sacrum is intact.",
            "No lytic or sclerotic lesion of the sacrum."
            "|sacral_lytic_lesion,sacral_sclerotic_lesion",
            "The sacrum is unremarkable.",
        ),
        "small_intestine": (
            "Small bowel loops are of normal caliber.",
            "No small bowel dilatation or wall thickening is observed."
            "|small_bowel_dilatation,small_bowel_wall_thickening",
            "The small bowel is unremarkable.",
        ),
        "spleen": (
            "The spleen is normal in size and density.",
            "The spleen is unremarkable.",
            "Spleen size is normal, and no focal lesion was observed.",
            "Spleen: normal.",
        ),
        "stomach": (
            "The stomach is unremarkable.",
            "No gastric wall thickening is seen.|gastric_wall_thickening",
            "The stomach is normally filled, with normal wall thickness.",
        ),
    }
)

OTHER_ABDOMEN: tuple[str, ...] = (
    "No free fluid or free air.",
    "No retroperitoneal or mesenteric lymphadenopathy.",
    "The inferior vena cava is normal in caliber.",
    "Degenerative changes of the lumbar spine.",
    "No inguinal hernia.",
    "The abdominal wall is intact.",
    "Intra-abdominal free fluid or collection was not observed.",
)
