"""Lots in the styles of many hospitals, written with what is right before any of it was parsed.

Someone wrote them who had not seen the parser: 62 of the fifth lot's 84 and 47 of the sixth's 90
were right at once; 68 and 61 with annotations put right (`corrected` tells which and why).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.reports.lots import faults, lot

if TYPE_CHECKING:
    from fvlm_data.reports import ReportParser

NORMAL_SIZE = "an organ of normal size is normal, and denies no finding of its size"

KNOWN = {
    "r78": "a pulmonary artery is no paired anatomy, so that an embolism has no side",
    **dict.fromkeys(("w01", "w03", "w04", "w11", "w15", "w19", "w24", "w30"), NORMAL_SIZE),
    "w06": "a size said of nodes is not the enlarged nodes'",
    "w25": "what follows a denial behind a comma, without a degree, is read as its list",
    "s06": "dry pleural spaces are normal, and deny no effusion",
    "s14": "an adenoma of the adrenal gland is a nodule too",
    "s22": "the same side over a sentence's end",
    "s23": "the same side over a sentence's end",
    "s48": "a thrombus that extends into another vessel",
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            one,
            id=f"{one['id']}: {one['kind']}",
            marks=[pytest.mark.xfail(strict=True, reason=KNOWN[one["id"]])]
            if one["id"] in KNOWN
            else [],
        )
        for name in ("fifth_lot.json", "sixth_lot.json")
        for one in lot(name)
    ],
)
def test_lot(parser: ReportParser, case: dict[str, Any]):
    assert faults(case, parser.parse(case["text"])) == []
