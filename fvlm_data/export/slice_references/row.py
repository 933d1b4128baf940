"""The rows of slice_references.parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.splits import SPLITS
from schemas.table import BOOL, FLOAT64S, INT32, STRING, STRINGS, Column, table

FORMS = ("series_and_image", "bracketed_pair", "image")
OUTCOMES = ("resolved", "no_such_series", "no_such_image", "ambiguous", "headers_not_read")


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReference:
    """One image, or several in a row, that a sentence names, in one study of its report."""

    patient_id: Annotated[str, Column(STRING, "keyed id of the patient")]
    split: Annotated[
        str | None,
        Column(STRING, "split of the patient; none: not split yet", nullable=True, allowed=SPLITS),
    ]
    study_id: Annotated[str, Column(STRING, "keyed id of the study")]
    report_id: Annotated[str, Column(STRING, "keyed id of the report")]
    sentence: Annotated[int, Column(INT32, "number of the sentence in its report, from 0")]
    start: Annotated[int, Column(INT32, "first character of the reference", "characters")]
    end: Annotated[int, Column(INT32, "one past its last character", "characters")]
    text: Annotated[str, Column(STRING, "the sentence")]
    anatomies: Annotated[tuple[str, ...], Column(STRINGS, "anatomies of the sentence, sorted")]
    findings: Annotated[
        tuple[str, ...], Column(STRINGS, "findings present or uncertain in the sentence, sorted")
    ]
    form: Annotated[str, Column(STRING, "how the image is named", allowed=FORMS)]
    series_number: Annotated[
        int | None, Column(INT32, "number of the series as named", nullable=True)
    ]
    image_number: Annotated[int, Column(INT32, "number of the (first) image")]
    last_image_number: Annotated[int, Column(INT32, "number of the last image; one: the same")]
    outcome: Annotated[str, Column(STRING, "what it was resolved to", allowed=OUTCOMES)]
    volume_id: Annotated[str | None, Column(STRING, "keyed id of the volume", nullable=True)]
    sample_id: Annotated[
        str | None, Column(STRING, "sample of the volume, if it gives one", nullable=True)
    ]
    slice: Annotated[
        int | None, Column(INT32, "index k of the (first) image in the volume", nullable=True)
    ]
    last_slice: Annotated[
        int | None, Column(INT32, "index k of the last image in the volume", nullable=True)
    ]
    position_mm: Annotated[
        tuple[float, ...] | None,
        Column(FLOAT64S, "centre of the (first) image, RAS+", "mm", nullable=True),
    ]
    last_position_mm: Annotated[
        tuple[float, ...] | None,
        Column(FLOAT64S, "centre of the last image, RAS+", "mm", nullable=True),
    ]
    plausible: Annotated[
        bool | None,
        Column(
            BOOL,
            "whether an anatomy of the sentence reaches the images by the mask; none: not "
            "resolved, or no anatomy of it has a mask there",
            nullable=True,
        ),
    ]


TABLE = table(
    "slice_references",
    SliceReference,
    primary_key=("study_id", "report_id", "start"),
    replaced_by="study_id",
)
