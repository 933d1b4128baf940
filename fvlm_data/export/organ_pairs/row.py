"""The rows of organ_pairs.parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.anatomy_texts import STATES
from schemas.splits import SPLITS
from schemas.table import BOOL, FLOAT64, INT32, INT32S, STRING, STRINGS, Column, table

TEXT_KINDS = ("report", "template")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganPair:
    """One region of one volume with one text about it."""

    volume_id: Annotated[str, Column(STRING, "keyed id of the volume")]
    patient_id: Annotated[str, Column(STRING, "keyed id of the patient")]
    study_id: Annotated[str, Column(STRING, "keyed id of the study")]
    split: Annotated[
        str | None,
        Column(STRING, "split of the patient; none: not split yet", nullable=True, allowed=SPLITS),
    ]
    path: Annotated[str, Column(STRING, "volume NIfTI file in HU, relative to the store")]
    mask_path: Annotated[str, Column(STRING, "label map NIfTI file, relative to the store")]
    task: Annotated[str, Column(STRING, "segmentation task")]
    class_system: Annotated[str, Column(STRING, "naming of the classes")]
    class_name: Annotated[str, Column(STRING, "class of the region")]
    class_value: Annotated[int, Column(INT32, "its value in the label map")]
    bbox: Annotated[
        tuple[int, ...],
        Column(INT32S, "i0, j0, k0, i1, j1, k1 on the volume's grid, end exclusive", "voxels"),
    ]
    volume_ml: Annotated[float, Column(FLOAT64, "volume of the region", "ml")]
    touches_border: Annotated[bool, Column(BOOL, "the region may be cut by the volume's end")]
    region: Annotated[str, Column(STRING, "name of the region in words")]
    anatomy: Annotated[
        str | None,
        Column(STRING, "anatomy of the text; none: the class belongs to none", nullable=True),
    ]
    state: Annotated[str, Column(STRING, "what the report says of the region", allowed=STATES)]
    text: Annotated[str, Column(STRING, "the text")]
    text_kind: Annotated[
        str, Column(STRING, "whose words it is: the report's, or a template's", allowed=TEXT_KINDS)
    ]
    regions_of_text: Annotated[
        int,
        Column(INT32, "regions of the volume that the text may be about; 1: this one", "regions"),
    ]
    findings: Annotated[
        tuple[str, ...], Column(STRINGS, "findings present or uncertain in the text, sorted")
    ]
    sources: Annotated[
        tuple[str, ...],
        Column(STRINGS, "sentences behind the state: report_id:start:end, in order"),
    ]


TABLE = table(
    "organ_pairs",
    OrganPair,
    primary_key=("volume_id", "task", "class_name", "text_kind"),
    replaced_by="volume_id",
)
