"""What becomes of each attribute of the basic profile: DICOM PS3.15 Annex E, Table E.1-1.

`python -m fvlm_data.ingest.dicom.header_profile docs/identity.md` writes the table at the end
of that page.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from fvlm_data.ingest.dicom.header import (
    ACQUISITION_DATES,
    IDENTITY_DATES,
    IDENTITY_TEXTS,
)

MARK = (
    "<!-- generated below: python -m fvlm_data.ingest.dicom.header_profile docs/identity.md -->\n"
)

NOT_READ = "not taken out of the header"
VAULT = "vault (encrypted), for scrubbing reports"
TIME = "compared in memory, to tell time points apart"
TREATED: dict[str, str] = {
    "AccessionNumber": f"keyed hash in `links`; {VAULT}",
    "AcquisitionDate": f"shifted date `acquired_on`; {VAULT}",
    "AcquisitionDateTime": "shifted date `acquired_on` where there is no AcquisitionDate",
    "AcquisitionTime": TIME,
    "ContentTime": TIME,
    "FrameAcquisitionDateTime": TIME,
    "ContentDate": f"shifted date `acquired_on` where the former are blank; {VAULT}",
    "ConcatenationUID": "compared in memory, to tell whether all parts came",
    "ContrastBolusAgent": "`contrast_header`: no, yes or a phase; the text stays behind",
    "DeviceSerialNumber": "part of the keyed series id where the series has no UID",
    "FrameOfReferenceUID": "compared in memory; part of the keyed series id where it has no UID",
    "IssuerOfPatientID": f"part of keyed ids and of the keyed hash in `links`; {VAULT}",
    "MediaStorageSOPInstanceUID": "compared in memory, where SOPInstanceUID is blank",
    "OtherPatientIDsSequence": f"PatientID within it: {VAULT}",
    "PatientAge": "`age_years`, above 89: 90",
    "PatientBirthDate": f"`age_years`, where PatientAge is blank, above 89: 90; {VAULT}",
    "PatientID": f"keyed id `patient_id` and keyed hash in `links`; {VAULT}",
    "PatientSex": "`sex` where it is F, M or O",
    "ProtocolName": "allow-listed words in `series_description` and `contrast_header`",
    "SeriesDate": f"part of the keyed series id where it has no UID; {VAULT}",
    "SeriesDescription": "allow-listed words in `series_description` and `contrast_header`",
    "SeriesInstanceUID": "keyed id `series_id`, keyed hash in `links` and `inputs`",
    "SeriesTime": "part of the keyed series id where it has no UID",
    "SOPInstanceUID": "compared in memory, to find duplicates",
    "StudyDate": f"shifted date `acquired_on` where the former are blank; {VAULT}",
    "StudyDescription": "phase in `contrast_header`; its words stay behind",
    "StudyInstanceUID": "keyed id `study_id`, keyed hash in `links` and `inputs`",
}
"""Attributes that ingest reads, by keyword; all others of the profile are not read at all."""

GROUPS = (
    ("person names elsewhere, also in sequences and private attributes", "any", "PN", VAULT),
    ("private attributes", "(odd group, any)", "", NOT_READ),
    ("curves", "(50xx,xxxx)", "", NOT_READ),
    ("OverlayData", "(60xx,3000)", "OB/OW", f"{NOT_READ}, nor burned into pixels"),
    ("OverlayComments", "(60xx,4000)", "LT", NOT_READ),
)


def profile_keywords() -> list[str]:
    """Keywords of the attributes of Table E.1-1, in the order of their tags."""
    text = files("fvlm_data.ingest.dicom").joinpath("basic_profile.txt").read_text(encoding="utf-8")
    return text.split()


def treatment(keyword: str) -> str:
    """What becomes of an attribute."""
    if keyword in TREATED:
        return TREATED[keyword]
    if keyword in {*IDENTITY_TEXTS, *IDENTITY_DATES, *ACQUISITION_DATES} or _vr(keyword) == "PN":
        return VAULT
    return NOT_READ


def _vr(keyword: str) -> str:
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    return dictionary_VR(tag) if tag is not None else ""


def table_markdown() -> str:
    """The table: tag, VR and what becomes of the attribute, one line each."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    lines = ["| attribute | tag | VR | what becomes of it |", "|---|---|---|---|"]
    for keyword in profile_keywords():
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise ValueError(f"basic_profile.txt: {keyword} is no keyword of DICOM's dictionary")
        place = f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
        vr = dictionary_VR(tag).replace(" or ", "/")
        lines.append(f"| {keyword} | {place} | {vr} | {treatment(keyword)} |")
    lines += [f"| {name} | {place} | {vr} | {told} |" for name, place, vr, told in GROUPS]
    return "\n".join(lines) + "\n"


def main(page: Path) -> None:
    """Write the table at the end of a page, below its mark."""
    prose = page.read_text(encoding="utf-8").partition(MARK)[0]
    page.write_text(f"{prose}{MARK}\n{table_markdown()}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
