"""A mask that review holds to be wrong contradicts no report."""

from __future__ import annotations

from typing import Any

from fvlm_data.pairing.images import images_of_rows
from fvlm_data.vocabulary import Vocabulary

EN = Vocabulary.load()


def row(name: str, low: int, high: int) -> dict[str, Any]:
    return {
        "volume_id": "v_1",
        "task": "total",
        "class_system": "totalsegmentator_v2",
        "class_name": name,
        "volume_ml": 100.0,
        "bbox": [low, 0, 0, high, 9, 9],
        "touches_border": False,
    }


VOLUME = {"volume_id": "v_1", "shape": [99, 99, 99], "orientation": "LPS", "age_years": None}
CHECK = {"volume_id": "v_1", "body_region": "chest", "searched": ["heart", "liver", "spleen"]}
MASKS = [
    row("liver", 10, 40),
    row("heart", 30, 60),
    row("lung_upper_lobe_left", 50, 90),
    row("lung_upper_lobe_right", 10, 50),
]


def test_it_shows_nothing_and_its_absence_nothing():
    trusted = images_of_rows([VOLUME], MASKS, [CHECK], EN)
    assert trusted.whole("liver") is not None
    assert trusted.heart_ratio == ("v_1", 30 / 80)
    assert trusted.lacks("spleen")
    told = images_of_rows([VOLUME], MASKS, [CHECK], EN, {("v_1", "liver"), ("v_1", "spleen")})
    assert told.largest("liver") is None
    assert not told.lacks("liver")
    assert not told.lacks("spleen")
    assert told.heart_ratio == trusted.heart_ratio
    assert told.organs["heart", ""] == trusted.organs["heart", ""]
    for organ in ("heart", "lung"):
        assert images_of_rows([VOLUME], MASKS, [CHECK], EN, {("v_1", organ)}).heart_ratio is None
