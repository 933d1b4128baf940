"""Which first lines of a table are told in messages."""

from __future__ import annotations

import pytest

from fvlm_data.column_names import listed, shown_columns

KNOWN = ("study_uid", "report")


@pytest.mark.parametrize(
    "names",
    [
        ["uid", "befund"],  # of another language
        ["StudyUID", "findings 2024", "x.y"],  # one is known
        ["study_uid;report"],  # another separator than was expected
        [],
    ],
)
def test_a_header_is_shown(names: list[str]):
    assert shown_columns(names, KNOWN) == (", ".join(names) or "none")


@pytest.mark.parametrize(
    "names",
    [
        ["Doe", "Jane", "19300215"],
        ["Doe", "15.02.1930"],
        ["Doe^Jane", "F"],
        ["Doe", "doe@example.org"],
        ["Doe", "doe_jane.nii.gz"],
        ["Doe", "The lungs of Mrs. Doe are quite clear."],
        ["Doe", "12/4", "x"],
        ["Doe", "Jane", "F"],
    ],
)
def test_a_patients_row_is_counted(names: list[str]):
    shown = shown_columns(names, KNOWN)
    assert shown.startswith(f"{len(names)}, not shown")
    assert "Doe" not in shown


def test_a_long_name_is_told_by_its_length():
    assert listed(["a", "b" * 50]) == "a, one of 50 characters"
