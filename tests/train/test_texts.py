from __future__ import annotations

import pytest

from fvlm_train.data.texts import encoder_text, mirrored

TEMPLATE = "{anatomy} shows no significant abnormalities."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Adrenal gland shows no significant abnormalities.", None),
        ("", None),
        (
            "adrenal gland shows no significant abnormalities. Both are slim. "
            "adrenal gland shows no significant abnormalities.",
            "Both are slim.",
        ),
        ("A nodule on the left.", "A nodule on the left."),
        (
            "A nodule. adrenal gland shows no significant abnormalities.",
            "A nodule. adrenal gland shows no significant abnormalities.",
        ),
    ],
)
def test_template_leaves_only_texts_that_start_with_it(text: str, expected: str | None) -> None:
    bare = "adrenal gland shows no significant abnormalities."
    assert encoder_text(text, "adrenal_gland", TEMPLATE).lower() == (expected or bare).lower()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Left kidney, right ureter.", "Right kidney, left ureter."),
        ("LEFT-sided effusion", "RIGHT-sided effusion"),
        ("leftover bright", "leftover bright"),
    ],
)
def test_mirroring_exchanges_sides(text: str, expected: str) -> None:
    assert mirrored(text) == expected
    assert mirrored(mirrored(text)) == text
