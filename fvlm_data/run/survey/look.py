"""The look at a folder: what lies there that a configuration would name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.run.survey.found import Survey
from fvlm_data.run.survey.images import dicom_folders, find_images
from fvlm_data.run.survey.languages import languages_to_read, notes_on_languages
from fvlm_data.run.survey.listing import listed
from fvlm_data.run.survey.masks import find_masks
from fvlm_data.run.survey.reports import TABLES_AT_MOST, find_reports, read_tables, unread_files

if TYPE_CHECKING:
    from pathlib import Path


def survey(folder: Path) -> Survey:
    """Look at names, at the columns of tables and at a few headers of each folder.

    A large folder is looked at in part: `complete` is False then.

    Raises:
        InputError: the folder is missing or may not be read.
    """
    listing = listed(folder.expanduser().resolve())
    tables = read_tables(listing)
    dicom = dicom_folders(listing)
    masks, mask_folders, notes = find_masks(listing, tables, beside_dicom=bool(dicom.ct))
    reports, notes_on_reports, languages = find_reports(
        listing, tables, dicom.structured_reports, dicom.ct
    )
    notes_on_reports += notes_on_languages(languages)
    report_folders = {one.path if one.path.is_dir() else one.path.parent for one in reports}
    sources, notes_on_images = find_images(listing, tables, dicom, mask_folders, report_folders)
    return Survey(
        folder=listing.root,
        files=sum(len(names) for names in listing.files.values()),
        folders=len(listing.files),
        complete=listing.complete and dicom.complete and len(tables) < TABLES_AT_MOST,
        sources=tuple(sources),
        masks=masks,
        reports=tuple(reports),
        languages=languages_to_read(languages),
        notes=(*notes, *notes_on_images, *notes_on_reports, *unread_files(listing)),
    )
