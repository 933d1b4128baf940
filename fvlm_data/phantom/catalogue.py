"""The findings that the phantom shows: their anatomy, how often, how large, on which side.

Prevalences are those of a first scan that images the anatomy; progress adds a little. They are
far above a screening population's and near a hospital's, so that a few hundred patients suffice
to measure an AUC for most findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ANATOMIES = (
    "adrenal_gland",
    "aorta",
    "bladder",
    "colon",
    "esophagus",
    "gallbladder",
    "heart",
    "kidney",
    "liver",
    "lung",
    "pancreas",
    "portal_vein",
    "sacrum",
    "small_intestine",
    "spleen",
    "stomach",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingKind:
    """What one finding is.

    Attributes:
        finding: its id.
        anatomy: the anatomy that it belongs to.
        prevalence: share of first scans that show it.
        size_mm: smallest and largest size; None where a size means nothing.
        sided: whether it has a side (left or right).
        groups: latent traits that raise its chance.
        transient: whether it may be gone at the next scan.
        excludes: findings that the same patient cannot have with it.
    """

    finding: str
    anatomy: str
    prevalence: float
    size_mm: tuple[float, float] | None = None
    sided: bool = False
    groups: tuple[str, ...] = ()
    transient: bool = False
    excludes: tuple[str, ...] = ()


def _kind(
    finding: str,
    anatomy: str,
    prevalence: float,
    size_mm: tuple[float, float] | None = None,
    *flags: str,
    groups: tuple[str, ...] = (),
    excludes: tuple[str, ...] = (),
) -> FindingKind:
    return FindingKind(
        finding=finding,
        anatomy=anatomy,
        prevalence=prevalence,
        size_mm=size_mm,
        sided="sided" in flags,
        transient="transient" in flags,
        groups=groups,
        excludes=excludes,
    )


_VESSEL, _LIVER, _SMOKE, _AGE, _ACUTE = (
    ("vascular",),
    ("hepatic",),
    ("smoking",),
    ("age",),
    ("acute",),
)

KINDS: tuple[FindingKind, ...] = (
    _kind("adrenal_nodule", "adrenal_gland", 0.11, (8, 24), "sided", groups=_AGE),
    _kind("adrenal_hyperplasia", "adrenal_gland", 0.09, (8, 11), "sided"),
    _kind("adrenal_calcification", "adrenal_gland", 0.08, (3, 8), "sided"),
    _kind("aortic_aneurysm", "aorta", 0.10, (38, 58), groups=_VESSEL),
    _kind("arterial_wall_calcification", "aorta", 0.12, None, groups=_VESSEL),
    _kind("aortic_dissection", "aorta", 0.06, None, groups=_VESSEL),
    _kind("bladder_stone", "bladder", 0.10, (3, 12)),
    _kind("bladder_wall_thickening", "bladder", 0.11, (5, 9), groups=_AGE),
    _kind("colonic_dilatation", "colon", 0.10, (55, 75), "transient", groups=_ACUTE),
    _kind("colonic_wall_thickening", "colon", 0.11, (8, 15), groups=_ACUTE),
    _kind("colonic_diverticulosis", "colon", 0.12, None, groups=_AGE),
    _kind("hiatal_hernia", "esophagus", 0.12, (22, 48), groups=_AGE),
    _kind("esophageal_wall_thickening", "esophagus", 0.11, (5, 9)),
    _kind("gallstone", "gallbladder", 0.12, (4, 18)),
    _kind("gallbladder_distention", "gallbladder", 0.09, (40, 48), "transient", groups=_ACUTE),
    _kind(
        "gallbladder_absent",
        "gallbladder",
        0.08,
        None,
        groups=_AGE,
        excludes=("gallstone", "gallbladder_distention"),
    ),
    _kind("cardiomegaly", "heart", 0.12, None, groups=_VESSEL),
    _kind("pericardial_effusion", "heart", 0.11, (5, 20), "transient", groups=_ACUTE),
    _kind("coronary_artery_wall_calcification", "heart", 0.12, None, groups=("vascular", "age")),
    _kind("kidney_cyst", "kidney", 0.12, (8, 45), "sided", groups=_AGE),
    _kind("kidney_stone", "kidney", 0.11, (3, 10), "sided"),
    _kind("hydronephrosis", "kidney", 0.10, (12, 30), "sided", "transient"),
    _kind("kidney_atrophy", "kidney", 0.08, (60, 80), "sided", groups=_VESSEL),
    _kind("kidney_absent", "kidney", 0.05, None, "sided"),
    _kind("hepatic_steatosis", "liver", 0.12, None),
    _kind("liver_cyst", "liver", 0.11, (7, 40)),
    _kind("liver_hypodense_lesion", "liver", 0.11, (9, 45)),
    _kind("liver_calcification", "liver", 0.09, (3, 10)),
    _kind("hepatomegaly", "liver", 0.10, (180, 215), groups=_ACUTE),
    _kind("cirrhosis", "liver", 0.09, None, groups=_LIVER, excludes=("hepatomegaly",)),
    _kind("lung_nodule", "lung", 0.12, (5, 22), "sided", groups=_SMOKE),
    _kind("consolidation", "lung", 0.10, (25, 70), "sided", "transient", groups=_ACUTE),
    _kind("lung_opacity", "lung", 0.12, (25, 70), "sided", "transient", groups=_ACUTE),
    _kind("emphysema", "lung", 0.11, None, groups=_SMOKE),
    _kind("atelectasis", "lung", 0.11, (10, 28), "sided", "transient"),
    _kind("pleural_effusion", "lung", 0.11, (10, 50), "sided", "transient", groups=_ACUTE),
    _kind("pneumothorax", "lung", 0.08, (8, 30), "sided", "transient"),
    _kind("pancreatic_cyst", "pancreas", 0.11, (8, 28)),
    _kind("pancreatic_duct_dilatation", "pancreas", 0.10, (4, 9)),
    _kind("pancreatic_atrophy", "pancreas", 0.11, None, groups=_AGE),
    _kind("portal_vein_dilatation", "portal_vein", 0.11, (14, 18), groups=_LIVER),
    _kind("portal_vein_thrombosis", "portal_vein", 0.10, None, groups=_LIVER),
    _kind("sacral_sclerotic_lesion", "sacrum", 0.11, (8, 18)),
    _kind("sacral_lytic_lesion", "sacrum", 0.10, (9, 28)),
    _kind("small_bowel_dilatation", "small_intestine", 0.10, (27, 38), "transient", groups=_ACUTE),
    _kind("small_bowel_wall_thickening", "small_intestine", 0.11, (5, 8), groups=_ACUTE),
    _kind("splenomegaly", "spleen", 0.11, (120, 155), groups=_LIVER),
    _kind("spleen_cyst", "spleen", 0.09, (8, 40)),
    _kind("splenic_calcification", "spleen", 0.09, (3, 8)),
    _kind(
        "spleen_absent",
        "spleen",
        0.05,
        None,
        excludes=("splenomegaly", "spleen_cyst", "splenic_calcification"),
    ),
    _kind("gastric_distention", "stomach", 0.10, (76, 96), "transient", groups=_ACUTE),
    _kind("gastric_wall_thickening", "stomach", 0.11, (9, 18)),
)

KIND: Mapping[str, FindingKind] = MappingProxyType({kind.finding: kind for kind in KINDS})

GROUPS = ("vascular", "hepatic", "smoking", "age", "acute")

CLASSES: Mapping[int, str] = MappingProxyType(
    dict(
        enumerate(
            (
                "spleen",
                "kidney_right",
                "kidney_left",
                "gallbladder",
                "liver",
                "stomach",
                "pancreas",
                "adrenal_gland_right",
                "adrenal_gland_left",
                "lung_upper_lobe_left",
                "lung_lower_lobe_left",
                "lung_upper_lobe_right",
                "lung_middle_lobe_right",
                "lung_lower_lobe_right",
                "esophagus",
                "small_bowel",
                "colon",
                "urinary_bladder",
                "sacrum",
                "heart",
                "aorta",
                "portal_vein_and_splenic_vein",
            ),
            start=1,
        )
    )
)
"""Label value to class name; names as in TotalSegmentator v2's task `total`, values our own."""

VALUE: Mapping[str, int] = MappingProxyType({name: value for value, name in CLASSES.items()})

ANATOMY_CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "adrenal_gland": ("adrenal_gland_left", "adrenal_gland_right"),
        "aorta": ("aorta",),
        "bladder": ("urinary_bladder",),
        "colon": ("colon",),
        "esophagus": ("esophagus",),
        "gallbladder": ("gallbladder",),
        "heart": ("heart",),
        "kidney": ("kidney_left", "kidney_right"),
        "liver": ("liver",),
        "lung": (
            "lung_upper_lobe_left",
            "lung_lower_lobe_left",
            "lung_upper_lobe_right",
            "lung_middle_lobe_right",
            "lung_lower_lobe_right",
        ),
        "pancreas": ("pancreas",),
        "portal_vein": ("portal_vein_and_splenic_vein",),
        "sacrum": ("sacrum",),
        "small_intestine": ("small_bowel",),
        "spleen": ("spleen",),
        "stomach": ("stomach",),
    }
)


def findings_of(anatomy: str) -> tuple[FindingKind, ...]:
    """Return the findings of one anatomy, in the catalogue's order."""
    return tuple(kind for kind in KINDS if kind.anatomy == anatomy)
